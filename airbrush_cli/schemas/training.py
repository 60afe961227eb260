"""train.yaml and hpo_search_space_v1.yaml: how agents are trained and searched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from airbrush_cli.schemas.base import Count, Model, NonNegative, Positive, Unit


class TorchCompile(Model):
    """torch.compile for the backbone."""

    enabled: bool = False
    mode: Literal["default", "reduce-overhead", "max-autotune"] = "max-autotune"


class Compute(Model):
    """Precision and memory layout inside the model; observations stay FP32."""

    precision: Literal["bf16", "fp16", "fp32"] = "bf16"
    channels_last: bool = True
    grad_checkpointing: bool = False
    torch_compile: TorchCompile = TorchCompile()


class Tile(Model):
    """Tiling of a full-frame computation, in pixels; size 0 is no tiling."""

    size: Annotated[int, Field(ge=0)] = 0
    overlap: Annotated[int, Field(ge=0)] = 0


class LpipsSettings(Model):
    """The perceptual metric that rewards are made of."""

    net: Literal["alex", "vgg", "squeeze"] = "vgg"
    tile: Tile = Tile()


class Agent(Model):
    """PPO and the strategist's network."""

    backbone: Literal["resnet34", "resnet18", "small"] = "resnet34"
    spatial_head: Literal["heatmap_soft_argmax", "coordconv"] = "heatmap_soft_argmax"
    softargmax_temp: Positive = 1.0
    learning_rate: Positive = 3e-4
    entropy_coef: NonNegative = 1e-3
    gamma: Unit = 0.995
    clip_param: Positive = 0.2


class Curriculum(Model):
    """Which pictures are trained on, by measured difficulty."""

    stage: Literal["easy", "medium", "hard"] = "hard"


class Dataloader(Model):
    """Host memory; pinning is useless on machines with unified memory."""

    pin_memory: bool = False


class TrainLogging(Model):
    """What a run keeps."""

    mlflow_experiment: str = "airbrush_train_v2"
    run_name_prefix: str = "train"
    log_seeds: bool = True
    save_interval: Count = 10  # epochs between monitor pictures


class Train(Model):
    """train.yaml. Paths are relative to the file."""

    task: Literal["AirbrushPainter-v0"] = "AirbrushPainter-v0"
    device: str = "cuda:0"
    compute: Compute = Compute()
    env_config: str = "env_airbrush_v1.yaml"
    sim_config: str = "sim/physics_v1.yaml"
    lpips: LpipsSettings = LpipsSettings()
    agent: Agent = Agent()
    curriculum: Curriculum = Curriculum()
    dataloader: Dataloader = Dataloader()
    logging: TrainLogging = TrainLogging()


class Objective(Model):
    """What a search improves, on average over the validation pictures; `neg` turns the sign of LPIPS."""

    name: Literal["avg_neg_final_lpips_validation", "avg_final_lpips_validation", "avg_final_psnr_validation"]
    direction: Literal["maximize", "minimize"]

    @model_validator(mode="after")
    def _check_direction(self) -> Objective:
        right = "minimize" if self.name == "avg_final_lpips_validation" else "maximize"
        if self.direction != right:
            raise ValueError(f"direction must be {right} for {self.name}")
        return self


class Budget(Model):
    """When a search ends."""

    n_trials: Count
    timeout_minutes: Positive


class Sampler(Model):
    """How trials are proposed."""

    type: Literal["tpe", "random"] = "tpe"
    seed: int = 123


class Pruner(Model):
    """When a trial is given up."""

    type: Literal["median", "none"] = "median"
    warmup_steps: Annotated[int, Field(ge=0)] = 8


class Distribution(Model):
    """The range of one hyperparameter."""

    dist: Literal["uniform", "loguniform"]
    low: float
    high: float

    @model_validator(mode="after")
    def _check_range(self) -> Distribution:
        if self.low >= self.high:
            raise ValueError(f"low must be below high (found {self.low:g} and {self.high:g})")
        if self.dist == "loguniform" and self.low <= 0:
            raise ValueError(f"a loguniform range must start above 0 (found {self.low:g})")
        return self


class Validation(Model):
    """The pictures that trials are judged on; without a folder of them, by the trainer's own validation."""

    image_dir: str | None = None  # relative to the file
    stroke_cap: Count = 1500


class Constraints(Model):
    """What no trial may exceed."""

    max_strokes: Count = 1500


class Mlflow(Model):
    """Where trials are logged."""

    experiment: str
    run_name_prefix: str = "trial"


class Retry(Model):
    """When a worker is taken for dead, and how often its trial is begun again."""

    heartbeat_seconds: Positive = 10.0
    grace_seconds: Positive = 120.0
    times: Annotated[int, Field(ge=0)] = 3


class SearchSpace(Model):
    """hpo_search_space_v1.yaml. Keys of `search_space` are dotted keys of train.yaml."""

    objective: Objective
    budget: Budget
    sampler: Sampler = Sampler()
    pruner: Pruner = Pruner()
    retry: Retry = Retry()
    search_space: dict[str, Distribution]
    validation: Validation
    constraints: Constraints = Constraints()
    mlflow: Mlflow
