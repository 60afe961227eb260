"""The command reference docs/cli.md, written from `--help` by `make docs` and held true by a test."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from airbrush_cli import app, files
from airbrush_cli.completions import tree

_INTRODUCTION = """# Commands

Written from `--help` by `make docs`.

Paths travel through pipes: a command takes images or job manifests as arguments, or one path a line on standard input,
and prints the manifests that it wrote, one a line, on standard output, each as soon as it is done. Everything that
people read is on standard error. `NO_COLOR` is honoured.

| exit status | meaning |
| --- | --- |
| 0 | done |
| 1 | a job failed; the others of the stream were still done, and are printed |
| 2 | wrong usage or bad input |
| 130 | interrupted; the best result so far is saved and marked partial |

A closed pipe ends a command quietly. Every setting is in a YAML file: `--config FILE` replaces the shipped one, `--set
a.b=c` overrides a key of it. Wherever a FILE of settings or of a machine is asked for, the name of a shipped one, as
they lie in `configs/`, will do too: `--config train_small`, `--machine machine_pen_plotter`.
"""


def reference() -> str:
    """Return the text of docs/cli.md."""
    parts = [_INTRODUCTION]
    for node in tree():
        command = app.root()
        context = typer.Context(command, info_name="airbrush", terminal_width=100, max_content_width=100)
        for word in node.words:
            command = command.get_command(context, word)
            context = typer.Context(command, info_name=word, parent=context, terminal_width=100, max_content_width=100)
        name = " ".join(("airbrush", *node.words))
        parts.append(f"## {name}\n\n```\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    files.write_text(Path(sys.argv[1]), reference())
