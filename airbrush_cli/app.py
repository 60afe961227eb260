"""The root command: finds a subcommand's module when it is called, and turns exceptions into exit statuses."""

from __future__ import annotations

import importlib
import io
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from airbrush_cli import __version__, console
from airbrush_cli.errors import AirbrushError, ExitStatus, is_interrupt

log = logging.getLogger(__name__)

# Every command of the tree and the line that lists it. The module of `gcode gen` is airbrush_cli.commands.gcode_gen;
# a command is shown, and can be called, once its module is there. Test: the line is the module's first docstring line.
COMMANDS: dict[str, str | dict[str, str]] = {
    "preprocess": "Turn pictures into jobs: a colour target and a pen layer.",
    "transfer": "Recolour jobs towards a reference picture.",
    "paint": "Plan the strokes of jobs, and write pictures and G-code.",
    "gcode": {
        "gen": "Write G-code for painted jobs.",
        "dryrun": "Check G-code as the controller will read it.",
    },
    "calibrate": {
        "gen": "Write test sheets to print and measure.",
        "build-luts": "Turn measurements of a printed sheet into look-up tables.",
        "use": "Point the twin at look-up tables.",
    },
    "train": {
        "ppo": "Train a stroke strategist.",
        "dqn": "Train a restoration agent.",
        "vtracer": "Train a chooser of tracing parameters.",
    },
    "hpo": "Search hyperparameters.",
    "monitor": "Watch runs in the terminal.",
}
GROUPS = {
    "gcode": "Write G-code and check it.",
    "calibrate": "Fit the twin to your machine, ink and paper.",
    "train": "Train agents.",
}


def _common_options(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    log_file: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a full log to FILE.")] = None,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log as one JSON object a line.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Hold the options that every command takes."""


def _show_version(value: bool) -> None:
    if value:
        console.current().result(f"airbrush {__version__}")
        raise typer.Exit


def _root_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Hold the options of the root command alone."""


def _common_params() -> list[Any]:
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command()(_common_options)

    def remember(context: Any, param: Any, value: Any) -> None:
        if value:
            context.find_root().meta[f"airbrush.{param.name}"] = value

    params = []
    for param in get_command(app).params:
        if param.name != "help":
            param.callback = remember
            param.expose_value = False
            params.append(param)
    return params


class Command(TyperCommand):
    """A subcommand: takes the common options before its own work starts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *_common_params()]

    def invoke(self, ctx: Any) -> Any:
        meta = ctx.find_root().meta
        names = ("quiet", "verbose", "log_file", "json_logs", "debug")
        settings = console.Settings(**{name: meta[f"airbrush.{name}"] for name in names if f"airbrush.{name}" in meta})
        console.current().configure(settings)
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            # Whoever reads the results has had enough. Caught here, because typer would make it status 1.
            _silence_stdout()
            raise typer.Exit from error


class LazyGroup(TyperGroup):
    """A group whose subcommands are modules, imported when called."""

    path: tuple[str, ...] = ()

    def _table(self) -> dict[str, str | dict[str, str]]:
        table: Any = COMMANDS
        for name in self.path:
            table = table[name]
        return table

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name in self._table() if self._is_there(name)]

    def _is_there(self, name: str) -> bool:
        entry = self._table()[name]
        if isinstance(entry, dict):
            return any(find_spec(module_of(*self.path, name, child)) for child in entry)
        return find_spec(module_of(*self.path, name)) is not None

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self._table() or not self._is_there(cmd_name):
            return None
        if cmd_name not in self.commands:
            entry = self._table()[cmd_name]
            if isinstance(entry, dict):
                self.commands[cmd_name] = group(cmd_name, GROUPS[cmd_name], (*self.path, cmd_name))
            else:
                module = importlib.import_module(module_of(*self.path, cmd_name))
                command = get_command(module.app)
                command.name = cmd_name
                self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        table = self._table()
        rows = [
            (name, GROUPS[name] if isinstance(table[name], dict) else table[name]) for name in self.list_commands(ctx)
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def module_of(*words: str) -> str:
    """Return the module's name of a command, given its words: ("gcode", "gen") → airbrush_cli.commands.gcode_gen."""
    return "airbrush_cli.commands." + "_".join(words).replace("-", "_")


def group(name: str, help_text: str, path: tuple[str, ...]) -> LazyGroup:
    """Build a group of the tree."""
    result = LazyGroup(name=name, help=help_text, no_args_is_help=True, rich_markup_mode=None)
    result.path = path
    return result


def new_app() -> typer.Typer:
    """Return the Typer app that a command module registers its one function on, with `cls=Command`."""
    return typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def settings_option(help_text: str) -> Any:
    """Return the option of a settings file: one that is there, or the name of a shipped one."""
    return typer.Option(metavar="FILE", callback=_settings_file, help=help_text)


def _settings_file(path: Path | None) -> Path | None:
    from airbrush_cli import config

    return config.find(path) if path else None


_EPILOG = """\b
Example:
  airbrush preprocess photo.png | airbrush paint | airbrush gcode dryrun

Paths travel through pipes: a command takes them as arguments or one a line on standard input, and prints the manifests
it wrote. Exit status: 0 done, 1 a job failed, 2 wrong usage or bad input, 130 interrupted."""


def root() -> LazyGroup:
    """Build the root command."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)

    app.command()(_root_options)
    result = group("airbrush", "Turn photographs into painting plans for an airbrush robot.", ())
    result.epilog = _EPILOG
    version_param = next(param for param in get_command(app).params if param.name == "version")
    version_param.expose_value = False
    result.params = [version_param, *_common_params()]
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status. SIGTERM, of `timeout` for instance, counts as Ctrl-C."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="surrogateescape")  # paths are bytes, of any encoding, and come out as they came
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status. The one place where exceptions become statuses."""
    # Before torch is loaded: its threads would spin while they wait, on cores that the twin's threads need.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    streams = console.current()
    streams.configure(console.Settings())
    try:
        status = root().main(arguments, prog_name="airbrush", standalone_mode=False)
        streams.stdout.flush()
        return int(status or 0)
    except AirbrushError as error:
        _say_error(str(error))
        return error.status
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    except SystemExit as exit_:
        return int(exit_.code or 0)
    except Exception as error:
        if is_interrupt(error):
            return ExitStatus.INTERRUPTED
        usage: Any = error
        if hasattr(usage, "show") and hasattr(usage, "exit_code"):
            usage.message = usage.message.removeprefix("Value error, ")  # pydantic's, which says nothing
            usage.show(file=streams.stderr)  # wrong usage, in typer's words
            return int(usage.exit_code)
        _say_error(f"unexpected {type(error).__name__}: {' '.join(str(error).split())} (--debug shows where)")
        return ExitStatus.JOB_FAILED


def _say_error(message: str) -> None:
    """Log an error, with its traceback when --debug asks for it."""
    log.error("%s", message, exc_info=console.current().settings.debug)


def _silence_stdout() -> None:
    """Keep the interpreter from complaining, at exit, about a pipe that its reader closed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
