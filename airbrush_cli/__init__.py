"""The library behind the `airbrush` command: from a photograph to strokes, pen lines, G-code and an honest dry run."""

__version__ = "0.1.0"
