"""Fixtures that several rooms' tests use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# A test that takes long on a busy machine has not failed.
settings.register_profile("airbrush", deadline=None)
settings.load_profile("airbrush")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def no_config_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests start from the shipped settings, whatever this machine's user has calibrated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measuring data beside the checkout, which a user's checkout does not have."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the measuring data beside the checkout is not here")
    return folder


@pytest.fixture(scope="session")
def examples() -> Path:
    """The project's own pictures."""
    return ROOT / "examples"
