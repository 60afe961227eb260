"""Default settings, look-up tables and macros: every knob in a YAML file."""
