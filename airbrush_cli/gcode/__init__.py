"""Strokes and pen paths to G-code for a GRBL 1.1f controller, and back: reading, planning, checking, replaying."""
