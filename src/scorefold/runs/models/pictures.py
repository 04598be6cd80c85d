"""What only some models can show: densities that are cheap enough, and figures of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from scorefold import report
from scorefold._types import Key
from scorefold.models import FittedKernelModel, FittedScoreModel

__all__ = ["Density", "coarse_density", "film_of_noise", "shapes_of_kernels"]

_FILM, _STEPS = 1000, 100
_RTOL = 1e-3
"""For pictures: errors of some hundredths of a nat cannot be seen."""

Density = Callable[[Any], Any]


def coarse_density(model: FittedScoreModel) -> Density:
    """log p of points, for pictures."""
    return lambda x: model.density(x, rtol=_RTOL).log_prob


def film_of_noise(model: FittedScoreModel, key: Key, drawn: dict[str, Any]) -> dict[str, Any]:
    """Samples on their way from noise to data."""
    levels, frames = model.trajectory(key, _FILM, frames=6, steps=_STEPS)
    manifold, path = model.manifold, np.asarray(frames)
    if not report.views_of(manifold, [path[-1]]) and manifold.dim > 1:
        return {}
    times = np.asarray(jax.vmap(model.noising.schedule.t)(levels))
    return {"From noise to data": report.film(manifold, path, times=times, **drawn)}


def shapes_of_kernels(model: FittedKernelModel, key: Key, drawn: dict[str, Any]) -> dict[str, Any]:
    """The widths of the kernels, and the heaviest ones."""
    return {"Kernels": report.kernel_shapes(model.mixture_in_units(), **drawn)}
