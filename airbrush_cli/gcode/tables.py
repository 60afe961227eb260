"""The look-up tables that a job was painted with: what paint reaches, and what a replay shows, depend on them."""

from __future__ import annotations

from pathlib import Path

from airbrush_cli.errors import InputError
from airbrush_cli.twin.luts import Luts, configured_luts, configured_physics


def luts_of(made_with: str | None, physics: Path | None, what: str) -> Luts:
    """Load the look-up tables of a job.

    Args:
        made_with: SHA-256 of the tables that it was painted with; None if that is not known, or there is no job.
        physics: the twin's settings, which name the tables; None for the user's own or the shipped ones.
        what: name of the job's file, for errors.

    Raises:
        InputError: the tables cannot be read, or are not those.
    """
    path = physics or configured_physics()
    luts = configured_luts(path)
    if made_with and made_with != luts.sha256:
        raise InputError(
            f"{what}: painted with other look-up tables ({made_with[:12]}…) than those of {path.name} "
            f"({luts.sha256[:12]}…); name the twin's settings that it was painted with: --physics FILE"
        )
    return luts
