"""The pen layer: from a mask of dark lines to paths that a plotter draws well."""

from airbrush_cli.pen.trace import trace_mask

__all__ = ["trace_mask"]
