"""The entry point: little is imported before Ctrl-C and a closed stream are harmless."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and exit with its status."""
    _open_closed_streams()
    try:
        from airbrush_cli import app

        app.main()
    except KeyboardInterrupt:
        sys.exit(130)


def _open_closed_streams() -> None:
    """Put the null device where a standard stream is closed, lest a file that is opened later takes its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))


if __name__ == "__main__":
    main()
