"""Search hyperparameters."""

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
  airbrush hpo --pictures photos --config train_small --workers 2
  airbrush hpo --pictures photos --space space.yaml --trials 40 --minutes 600
  airbrush hpo --pictures photos --study night --storage postgresql://me@host/studies
  airbrush hpo --pictures photos --study night -- --no-warm-start
  airbrush train ppo --pictures photos --config training/studies/night/best_config.yaml

A study that is named again is gone on with; workers on other machines join it through its storage. What follows `--`
is handed on to every `airbrush train ppo`. `airbrush monitor` shows the trials."""


_NEEDED = ("optuna", "stable_baselines3", "gymnasium")


@app.command(cls=root.Command, epilog=_EPILOG)
def hpo(
    trainer: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARG...]", help="Arguments for `airbrush train ppo`.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures that trials train on; see `airbrush train ppo`.")
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Pictures that trainers judge themselves by.")
    ] = None,
    space: Annotated[
        Path | None, root.settings_option("What to search, in place of the shipped hpo_search_space_v1.yaml.")
    ] = None,
    config: Annotated[
        Path | None, root.settings_option("The trainer's settings, in place of the shipped train.yaml.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a setting of the trainer; env.KEY=VALUE one of the environment.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where studies are kept.")] = Path("training"),
    study: Annotated[str | None, typer.Option(metavar="NAME", help="A study to begin or to go on with.")] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="AIRBRUSH_HPO_STORAGE",
            help="Where workers meet: a PostgreSQL URL, or a journal file; else a journal in the study's folder.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="How many trials run at a time here.")] = 1,
    trials: Annotated[int | None, typer.Option(min=1, help="How many trials the study has in all.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="How long this command may take.")] = None,
) -> None:
    """Search hyperparameters.

    Each trial trains in a process of its own, paints the validation pictures, and is given up early when it does worse
    than most. Prints the path of best_config.yaml, which `airbrush train ppo --config` takes.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(f"searching needs {', '.join(missing)}: pip install 'airbrush[train]'")

    from airbrush_cli.learning import search_command

    given = {"--pictures": pictures, "--validation": validation}
    for path in given.values():
        if path and not path.is_dir():
            raise InputError(f"{path}: no such folder of pictures")
    flags = [word for name, path in given.items() if path for word in (name, str(path.resolve()))]
    arguments = [*flags, *(trainer or [])]
    if not any(word.partition("=")[0] == "--pictures" for word in arguments):
        raise InputError("trials need pictures to train on: name them with --pictures DIR")
    search_command.search(space, config, overrides or [], out, study, storage, workers, trials, minutes, arguments)
