"""From measurements to look-up tables, and how well these predict what was measured.

A band of one ink at one height and speed has in its middle the light T = 1 − a (1 − ink), a being the opacity there and
ink the film's colour: the same for both layering models. So the colour patches give 1 − ink up to a factor, the opacity
a₀ of their height and speed, and the spot patches give all other opacities as multiples of a₀. The layering patches
then tell the models apart, and how large a₀ is: over a base B, a film that alone gives T gives

    multiply:    B T
    alpha_over:  B (1 − a₀) + ink a₀ = B + T − 1 + a₀ (1 − B).

Transparent films multiply, whatever a₀ is; for them it is chosen so that no opacity exceeds 1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from airbrush_cli import colour
from airbrush_cli.calibration.form import Measured
from airbrush_cli.calibration.smooth import Smooth, falling
from airbrush_cli.errors import InputError
from airbrush_cli.schemas.calibration import CalibrationManifest
from airbrush_cli.schemas.luts import Layering, LutMetadata
from airbrush_cli.twin.luts import FWHM_PER_SIGMA, Luts

log = logging.getLogger(__name__)

Floats = NDArray[np.floating]
Axis = NDArray[np.float64]

# Nodes of the tables.
_AMOUNTS, _HEIGHTS, _SPEEDS = 17, 22, 24
# No film hides more than this.
_MOST_OPAQUE = 0.98
# Yule-Nielsen exponents that colours are smoothed in: light to the power 1/n. Dyes want a large one (mixing multiplies
# light), halftones a small one (mixing averages it); leaving patches out tells.
_EXPONENTS = (1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
# Noise of measurements: of light, of widths in mm, and of widths of faint bands, relative per missing light.
_LIGHT_NOISE, _WIDTH_NOISE_MM, _FAINT_NOISE = 0.004, 0.03, 0.006
# Bends of height (mm) and speed (mm/s): what is smooth in logarithms beyond them is about linear before.
_Z_BEND, _V_BEND = 4.0, 8.0
_LEAST = {"colour": 9, "spot": 6, "layering": 3}


@dataclass(frozen=True, eq=False)
class Verdict:
    """How well the tables predict the measurements.

    Attributes:
        colour_delta_e: (n,) CIEDE2000 between each colour patch and its prediction from all others.
        colour_left_out: (n, 3) these predictions, linear RGB.
        alpha_left_out: (m,) missing luminance of the spot patches, predicted from all others.
        width_left_out: (m,) their widths, mm.
        layering_delta_e: of each model, (k,) between predicted and measured overlap.
        layering_predicted: of each model, (k, 3) linear RGB.
        recommended: the model that fits.
        base_opacity: opacity of the colour patches.
        sheets_agree: factor between the spot sheet and the colour sheet where both measure the same.
    """

    colour_delta_e: Floats
    colour_left_out: Floats
    alpha_left_out: Floats
    width_left_out: Floats
    layering_delta_e: dict[Layering, Floats]
    layering_predicted: dict[Layering, Floats]
    recommended: Layering
    base_opacity: float
    sheets_agree: float | None


def build(
    measured: Measured, manifest: CalibrationManifest, date: str, layering: Layering | None = None
) -> tuple[Luts, Verdict]:
    """Fit look-up tables to measurements.

    Args:
        measured: what was measured.
        manifest: the sheets.
        date: of today, for the metadata.
        layering: a model in place of the recommended one.

    Raises:
        InputError: too few patches, or colours that carry no ink.
    """
    counts = {"colour": len(measured.rgb), "spot": len(measured.alpha), "layering": len(measured.layers)}
    for kind, count in counts.items():
        if count < _LEAST[kind]:
            raise InputError(f"{count} measured patches of kind {kind}; at least {_LEAST[kind]} are needed")
    film = _colours(measured)
    missing_light = _spot_light(film, manifest)
    if missing_light < 0.1:
        raise InputError("the ink of the spot patches is hardly darker than paper in the colour patches")
    ratio = np.clip(measured.alpha, 1e-3, 1.0) / missing_light
    fitted = {model: _fit_layers(measured, model, film) for model in ("alpha_over", "multiply")}
    errors: dict[Layering, Floats] = {model: fit[1] for model, fit in fitted.items()}  # type: ignore[misc]
    recommended = min(errors, key=lambda model: float(np.mean(errors[model] ** 2)))
    chosen = layering or recommended
    table = _Spots(measured, ratio)
    most = float(table.densest)
    base = fitted["alpha_over"][0] if chosen == "alpha_over" else _MOST_OPAQUE / most
    base = min(base, _MOST_OPAQUE / most)
    # No ink takes away more light than there is.
    base = max(base, float(1.0 - min(film.values.min(), measured.layers[:, :2].min())))
    opacity, sigma, z_axis, v_axis = table.evaluate(base)
    ink = 1.0 - (1.0 - film.table) / base
    luts = Luts(
        colour=np.clip(ink, 0.0, 1.0).astype(np.float32),
        opacity=np.clip(opacity, 0.0, 1.0).astype(np.float32),
        sigma_mm=sigma.astype(np.float32),
        z_mm=z_axis,
        v_mm_s=v_axis,
        layering=chosen,
        metadata=LutMetadata(
            synthetic=False,
            description=f"Measured: {len(measured.rgb)} colours, {len(measured.alpha)} spots, "
            f"{len(measured.layers)} layerings; {manifest.made_by}.",
            machine_profile=manifest.machine_profile,
            date=date,
        ),
    )
    alpha, width = table.left_out()
    verdict = Verdict(
        colour_delta_e=film.delta_e,
        colour_left_out=film.left_out,
        alpha_left_out=alpha * missing_light,
        width_left_out=width,
        layering_delta_e=errors,
        layering_predicted={model: fit[2] for model, fit in fitted.items()},  # type: ignore[misc]
        recommended=recommended,
        base_opacity=base,
        sheets_agree=_agreement(measured, ratio, manifest),
    )
    return luts, verdict


def delta_e(one: Floats, other: Floats) -> Floats:
    """Return CIEDE2000 between linear RGB colours (..., 3)."""
    result: Floats = colour.delta_e2000(colour.linear_rgb_to_lab(one), colour.linear_rgb_to_lab(other))
    return result


@dataclass(frozen=True, eq=False)
class _Film:
    """Light in the middle of a band of any ink, at the colour patches' height and speed."""

    smooth: Smooth
    exponent: float
    values: Floats
    left_out: Floats
    delta_e: Floats

    def __call__(self, ink: Floats) -> Floats:
        return _decode(self.smooth(ink), self.exponent)

    @property
    def table(self) -> Floats:
        """(N, N, N, 3) at equidistant amounts of c, m and y."""
        amounts = np.linspace(0.0, 1.0, _AMOUNTS)
        grid = np.stack(np.meshgrid(amounts, amounts, amounts, indexing="ij"), axis=-1)
        return self(grid.reshape(-1, 3)).reshape(grid.shape)


def _decode(values: Any, exponent: float) -> Floats:
    result: Floats = np.clip(values, 0.0, 1.0) ** exponent
    return result


def _colours(measured: Measured) -> _Film:
    best: _Film | None = None
    light = np.clip(measured.rgb, 1e-4, 1.0)
    for exponent in _EXPONENTS:
        smooth = Smooth(measured.ink, light ** (1.0 / exponent))
        left_out = _decode(smooth.left_out, exponent)
        film = _Film(smooth, exponent, light, left_out, delta_e(left_out, measured.rgb))
        if best is None or film.delta_e.mean() < best.delta_e.mean():
            best = film
    assert best is not None, "there are exponents"
    return best


def _spot_light(film: _Film, manifest: CalibrationManifest) -> float:
    """The share of the paper's luminance that the spot patches' ink takes, at the colour patches' height and speed."""
    ink = next(patch.bands[0].ink for patch in manifest.patches if patch.kind == "spot")
    return float(1.0 - colour.luminance(film(np.array([ink])))[0])


def _agreement(measured: Measured, ratio: Floats, manifest: CalibrationManifest) -> float | None:
    place = next((patch.z_mm, patch.v_mm_s) for patch in manifest.patches if patch.kind == "colour")
    same = (measured.zv == place).all(axis=1)
    return float(ratio[same][0]) if same.any() else None


def _fit_layers(measured: Measured, model: Layering, film: _Film) -> tuple[float, Floats, Floats]:
    """Return the opacity of the colour patches that fits, the errors (k,), and the predicted overlaps (k, 3)."""
    base, top, overlap = np.moveaxis(measured.layers, 1, 0)

    def predicted(opacity: float) -> Floats:
        if model == "multiply":
            return base * top
        return np.clip(base + top - 1.0 + opacity * (1.0 - base), 0.0, 1.0)

    least = float(1.0 - min(film.values.min(), base.min(), top.min()))
    if model == "multiply" or least >= 1.0:
        opacity = 1.0
    else:
        found = minimize_scalar(
            lambda a: float(np.mean(delta_e(predicted(a), overlap) ** 2)), bounds=(least, 1.0), method="bounded"
        )
        opacity = float(found.x)
    light = predicted(opacity)
    return opacity, delta_e(light, overlap), light


class _Spots:
    """Opacity and width as functions of height and speed, smooth in coordinates where both bend little."""

    def __init__(self, measured: Measured, ratio: Floats) -> None:
        self._z, self._v = measured.zv.T
        self._ratio = ratio
        # Density of the film; the densest spot is taken to be almost opaque, whatever it truly is: this only sets the
        # space in which the samples are smoothed.
        self._unit = _MOST_OPAQUE / float(ratio.max())
        opacity = ratio * self._unit
        density = -np.log1p(-opacity)
        noise = _LIGHT_NOISE * self._unit / ((1.0 - opacity) * density) + 0.005
        places = self._places(self._z, self._v)
        self._density = Smooth(places, np.log(density)[:, None], noise, degree=2)
        sigma = measured.width_mm / FWHM_PER_SIGMA
        noise = np.hypot(_WIDTH_NOISE_MM / measured.width_mm, _FAINT_NOISE / np.maximum(measured.alpha, 0.01)) + 0.003
        self._sigma = Smooth(places, np.log(sigma)[:, None], noise, degree=2)
        self._sigma_range = sigma.min() / 1.5, sigma.max() * 1.5

    def _places(self, z: Floats, v: Floats) -> Floats:
        def bend(values: Floats, samples: Floats, scale: float) -> Floats:
            low, high = np.log1p(samples.min() / scale), np.log1p(samples.max() / scale)
            return (np.log1p(values / scale) - low) / max(high - low, 1e-9)

        return np.column_stack([bend(z, self._z, _Z_BEND), bend(v, self._v, _V_BEND)])

    @property
    def densest(self) -> float:
        """The largest multiple of the colour patches' opacity."""
        return float(self._ratio_at(self._places(self._z, self._v)).max())

    def _ratio_at(self, places: Floats) -> Floats:
        result: Floats = -np.expm1(-np.exp(self._density(places)[:, 0])) / self._unit
        return result

    def left_out(self) -> tuple[Floats, Floats]:
        """Return (m,) multiples and (m,) widths in mm, each predicted from all other patches."""
        density = np.exp(self._density.left_out[:, 0])
        return -np.expm1(-density) / self._unit, np.exp(self._sigma.left_out[:, 0]) * FWHM_PER_SIGMA

    def evaluate(self, base: float) -> tuple[Floats, Floats, Axis, Axis]:
        """Return opacity and sigma (Nz, Nv), and the axes; opacity falls with height and speed."""
        z_axis = _axis(self._z, lambda low, high: np.linspace(low, high, _HEIGHTS))
        v_axis = _axis(self._v, lambda low, high: np.geomspace(low + 10.0, high + 10.0, _SPEEDS) - 10.0)
        z, v = (grid.ravel() for grid in np.meshgrid(z_axis, v_axis, indexing="ij"))
        places, shape = self._places(z, v), (len(z_axis), len(v_axis))
        opacity = falling(base * self._ratio_at(places).reshape(shape))
        sigma = np.clip(np.exp(self._sigma(places)[:, 0]), *self._sigma_range).reshape(shape)
        return opacity, sigma, z_axis, v_axis


def _axis(samples: Floats, nodes: Callable[[float, float], Floats]) -> Axis:
    low, high = float(samples.min()), float(samples.max())
    if high <= low:
        # One height or speed only: the tables say the same for all.
        return np.array([low, low + 1.0])
    return np.round(nodes(low, high), 6).astype(np.float64)
