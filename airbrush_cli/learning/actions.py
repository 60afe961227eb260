"""Actions are strokes scaled to [-1, 1] by stroke.v1's bounds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from airbrush_cli.schemas.stroke import HIGH, LOW

SIZE = len(LOW)
"""Numbers of an action that is one stroke."""

_MIDDLE = 0.5 * (HIGH + LOW)
_HALF = 0.5 * (HIGH - LOW)


def to_strokes(actions: NDArray) -> NDArray[np.float64]:
    """Return strokes (..., k, 15) within their bounds for actions (..., 15 k); what lies outside [-1, 1] is clipped."""
    actions = np.asarray(actions, np.float64)
    strokes = actions.reshape(*actions.shape[:-1], -1, SIZE)
    return np.clip(strokes, -1.0, 1.0) * _HALF + _MIDDLE


def from_strokes(strokes: NDArray) -> NDArray[np.float64]:
    """Return actions (..., 15) for strokes (..., 15); the inverse of `to_strokes` for one stroke."""
    return (np.asarray(strokes, np.float64) - _MIDDLE) / _HALF


def to_stroke_tensor(actions: Tensor) -> Tensor:
    """Return float64 strokes (B, k, 15) for actions (B, 15 k) in [-1, 1], differentiably."""
    half, middle = (torch.as_tensor(scale, device=actions.device) for scale in (_HALF, _MIDDLE))
    return actions.double().reshape(len(actions), -1, SIZE) * half + middle
