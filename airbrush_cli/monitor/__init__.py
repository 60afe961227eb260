"""Watching what runs: gathered from what lies on the disk, shown in a terminal, played back through the twin."""
