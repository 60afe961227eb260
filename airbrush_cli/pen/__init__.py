"""The pen layer: from a mask of dark lines to paths that a plotter draws well."""
