"""What a stroke shows is what its removal changes."""

from __future__ import annotations

import numpy as np
import pytest

from airbrush_cli.schemas.stroke import HIGH, LOW
from airbrush_cli.twin.luts import synthetic_luts
from airbrush_cli.twin.model import Twin


@pytest.mark.parametrize("layering", ["alpha_over", "multiply"])
def test_influence_is_the_change_by_removal(layering: str) -> None:
    generator = np.random.default_rng(5)
    strokes = LOW + generator.random((20, 15)) * (HIGH - LOW)
    twin = Twin(synthetic_luts(layering))  # type: ignore[arg-type]
    size = (61, 83)
    picture, tape = twin.forward(strokes, size)
    weight = generator.random(picture.shape).astype(np.float32)
    energy, peak = twin.influence(tape, weight)
    pull = twin.opacity_pull(tape, weight)
    for index in range(len(strokes)):
        change = (picture - twin.render(np.delete(strokes, index, 0), size)).astype(float)
        assert energy[index] == pytest.approx(np.square(weight * change).sum(), rel=1e-3, abs=1e-9)
        assert peak[index] == pytest.approx(np.abs(weight * change).max(), rel=1e-3, abs=1e-6)
        assert pull[index] == pytest.approx((weight * change).sum(), rel=1e-3, abs=1e-5)
