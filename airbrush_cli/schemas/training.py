"""train.yaml and hpo_search_space_v1.yaml: how agents are trained and searched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from airbrush_cli.schemas.base import Count, Model, NonNegative, Positive, Unit
from airbrush_cli.schemas.paint import Effort
from airbrush_cli.schemas.stroke import BOUNDS

Stage = Literal["easy", "medium", "hard"]


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
    highest_mm: Annotated[float, Field(gt=0, le=BOUNDS["z"][1])] = BOUNDS["z"][1]  # low strokes are thin
    last_highest_mm: Annotated[float, Field(gt=0, le=BOUNDS["z"][1])] | None = None  # of the last ones; None: the same
    learning_rate: Positive = 3e-4
    entropy_coef: NonNegative = 1e-3
    gamma: Unit = 0.995
    clip_param: Positive = 0.2
    gae_lambda: Unit = 0.95
    value_coef: NonNegative = 0.5
    max_grad_norm: Positive = 0.5
    log_std_init: float = -2.0  # of the exploration, in units of the action
    rollout_steps: Count = 64  # steps of each canvas before an update; an epoch is one rollout and its update
    batch_size: Count = 128
    passes: Count = 4  # over the rollout, for each update


class Curriculum(Model):
    """Which pictures are trained on, by measured difficulty; a stage includes those below it.

    With `advance_epochs`, training starts with the easy ones and goes on to the next stage after so many epochs, up to
    `stage`.
    """

    stage: Stage = "hard"
    advance_epochs: Annotated[int, Field(ge=0)] = 0


class CloneSettings(Model):
    """Warm start, first part: imitate the plans of the built-in painter."""

    steps: Annotated[int, Field(ge=0)] = 20_000  # strokes
    learning_rate: Positive = 1e-3
    lookahead: Count = 8  # a proposal counts as right if it is one of the plan's next strokes
    plans: Count = 24  # how many pictures are planned, where no plans are given
    work: Positive = 1500  # milliseconds of two reference cores for each


class TwinSettings(Model):
    """Warm start, second part: go down the gradient of the painting's error through the twin."""

    steps: Annotated[int, Field(ge=0)] = 100_000  # strokes
    learning_rate: Positive = 5e-4
    lpips_weight: NonNegative = 0.0  # of LPIPS beside the relative squared error
    lpips_from: Unit = 0.0  # share of the steps after which LPIPS counts; until then only the error, which is quicker
    horizon: Count = 1  # steps that are painted before the error is pulled back through all of them
    noise: NonNegative = 0.02  # standard deviation of actions around the proposals, so that states vary


class WarmStart(Model):
    """What is learnt before PPO; each part can be left out."""

    enabled: bool = True
    clone: CloneSettings = CloneSettings()
    twin: TwinSettings = TwinSettings()


class TrainValidation(Model):
    """How the strategist alone is judged after an epoch, on pictures that it is not trained on."""

    pictures: Count = 4  # at most
    strokes: Count | None = None  # the environment's cap if missing
    every: Count = 1  # epochs


class Guard(Model):
    """When training is stopped, or set back to the last good checkpoint with a smaller step."""

    max_kl: Positive = 0.5
    min_entropy: float = -4.0  # nats for each number of an action
    restarts: Annotated[int, Field(ge=0)] = 3
    learning_rate_factor: Annotated[float, Field(gt=0, le=1)] = 0.5
    patience: Annotated[int, Field(ge=0)] = 0  # epochs without a better val_lpips before training ends; 0: never


class Dataloader(Model):
    """Host memory; pinning is useless on machines with unified memory."""

    pin_memory: bool = False


class TrainLogging(Model):
    """What a run keeps."""

    mlflow_experiment: str = "airbrush_train_v2"
    run_name_prefix: str = "train"
    log_seeds: bool = True
    save_interval: Count = 10  # epochs between monitor pictures
    checkpoint_interval: Count = 1  # epochs between checkpoints


class Train(Model):
    """train.yaml. Paths are relative to the file."""

    task: Literal["AirbrushPainter-v0"] = "AirbrushPainter-v0"
    device: str = "cuda:0"
    seed: Annotated[int, Field(ge=0)] = 0
    total_steps: Count = 2_000_000  # strokes, those of the warm start included
    canvases: Count = 16  # painted at a time
    compute: Compute = Compute()
    env_config: str = "env_airbrush_v1.yaml"
    sim_config: str = "sim/physics_v1.yaml"
    lpips: LpipsSettings = LpipsSettings()
    agent: Agent = Agent()
    warm_start: WarmStart = WarmStart()
    curriculum: Curriculum = Curriculum()
    validation: TrainValidation = TrainValidation()
    guard: Guard = Guard()
    dataloader: Dataloader = Dataloader()
    logging: TrainLogging = TrainLogging()


class Sources(Model):
    """Where a run's pictures are; kept with it, so that it can be resumed."""

    pictures: str
    validation: str | None = None
    plans: str | None = None


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
    effort: Effort = "standard"
    technician: bool = True  # without, the strategist alone is judged


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
