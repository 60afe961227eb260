"""stroke.v1: the file and the array are the same strokes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from airbrush_cli import documents
from airbrush_cli.errors import InputError
from airbrush_cli.schemas import stroke


def strokes_of(units: np.ndarray) -> np.ndarray:
    return stroke.LOW + units * (stroke.HIGH - stroke.LOW)


@given(arrays(float, st.tuples(st.integers(0, 5), st.just(15)), elements=st.floats(0, 1)))
def test_round_trip(units: np.ndarray) -> None:
    strokes = strokes_of(units)
    ids = [f"s{n:04d}" for n in range(len(strokes))]
    text = stroke.to_yaml(strokes, ids, stroke.StrokeMetadata(seed=1))
    document = documents.validate(documents.parse(text, "x"), stroke.StrokesDocument, "x", text)
    assert document.ids == ids
    assert np.array_equal(document.to_array(), stroke.rounded(strokes))


def test_a_stroke_out_of_bounds_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "strokes.yaml"
    text = stroke.to_yaml(strokes_of(np.full((3, 15), 0.5)), ["a", "b", "c"], stroke.StrokeMetadata())
    path.write_text(text.replace("z0: 15.0000", "z0: 31", 1))
    with pytest.raises(
        InputError, match=r"strokes\.yaml:6: strokes\.0\.z_profile\.z0: must be at most 30 \(found 31\)"
    ):
        documents.load(path, stroke.StrokesDocument)
    path.write_text(text.replace("id: b", "id: a"))
    with pytest.raises(InputError, match="the id a stands twice"):
        documents.load(path, stroke.StrokesDocument)


def test_bounds_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        stroke.LOW[0] = 1
