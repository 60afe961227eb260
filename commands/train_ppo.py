"""Train a stroke strategist."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from airbrush_cli import app as root
from airbrush_cli.errors import InputError

app = root.new_app()

_EPILOG = """\b
Examples:
  airbrush train ppo --pictures photos --out training
  airbrush train ppo --pictures photos --config train_small --steps 200000
  airbrush train ppo --resume training/runs/train-20260101-120000
  airbrush paint jobs/photo --policy training/runs/train-20260101-120000/checkpoints/best.pt"""

_NEEDED = ("stable_baselines3", "gymnasium", "psutil")


@app.command(cls=root.Command, epilog=_EPILOG)
def ppo(
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures to train on, or jobs whose targets are.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures to judge by; else some of the others are held out.")
    ] = None,
    plans: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Painted jobs to imitate; else the training pictures are planned."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Go on with a run, from its last checkpoint.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where runs/ is made.")] = Path("training"),
    steps: Annotated[int | None, typer.Option(min=1, help="Strokes to paint, the warm start's included.")] = None,
    warm_start: Annotated[
        bool | None, typer.Option("--warm-start/--no-warm-start", help="Learn from plans and through the twin first.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all randomness.")] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute: auto, cpu, cuda:0 ...")] = None,
    config: Annotated[Path | None, root.settings_option("Settings in place of the shipped train.yaml.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a setting; env.KEY=VALUE one of the environment."),
    ] = None,
) -> None:
    """Train a stroke strategist.

    Imitates plans of the built-in painter, then follows the gradient through the twin, then goes on with PPO. The run's
    folder, DIR/runs/NAME, is printed at the end; `airbrush monitor DIR` watches it meanwhile. Ctrl-C stops after the
    epoch, and --resume goes on.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(f"training needs {', '.join(missing)}: pip install 'airbrush[train]'")
    if (pictures is None) == (resume is None):
        raise InputError("name either pictures to train on (--pictures DIR) or a run to go on with (--resume RUN)")
    given = {
        "total_steps": steps,
        "seed": seed,
        "device": device,
        "warm_start.enabled": None if warm_start is None else str(warm_start).lower(),
    }
    flags = [f"{key}={value}" for key, value in given.items() if value is not None]
    if resume and (flags or overrides or config or validation or plans):
        raise InputError("--resume goes on with the run's own settings and pictures; leave out the other options")

    from airbrush_cli import console
    from airbrush_cli.learning import command
    from airbrush_cli.schemas.training import Sources

    if resume:
        folder = command.resume(resume)
    else:
        assert pictures
        paths = {"pictures": pictures, "validation": validation, "plans": plans}
        sources = Sources(**{name: str(path.resolve()) for name, path in paths.items() if path})
        folder = command.start(sources, config, [*(overrides or []), *flags], out)
    console.current().result(folder)
