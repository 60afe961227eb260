"""Measurements that the docs quote."""

import os

# As `airbrush` itself does before torch is loaded: its idle threads sleep, and leave their cores to the twin's.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
