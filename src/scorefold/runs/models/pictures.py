"""What only some models can show: densities that are cheap enough, and figures of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array

from scorefold import report
from scorefold._types import Key, Values
from scorefold.models import FittedKernelModel, FittedScoreModel, Model
from scorefold.models.flows._base import FlowModel
from scorefold.runs.axes import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FILM, _STEPS, _OUTLINES = 1000, 100, 150
_RTOL = 1e-3
"""For pictures: errors of some hundredths of a nat cannot be seen."""

Density = Callable[[Array], Values]
Figures = dict[str, "Figure"]


def coarse_density(model: FittedScoreModel | FlowModel) -> Density:
    """log p of points, for pictures."""
    return lambda x: model.density(x, rtol=_RTOL).log_prob


def film_of_noise(model: FittedScoreModel, key: Key, drawn: Shown) -> Figures:
    """Samples on their way from noise to data."""
    levels, frames = model.trajectory(key, _FILM, frames=6, steps=_STEPS)
    manifold, path = model.manifold, np.asarray(frames)
    if not report.views_of(manifold, [path[-1]]) and manifold.dim > 1:
        return {}
    times = np.asarray(jax.vmap(model.noising.schedule.t)(levels))
    return {"From noise to data": report.film(manifold, path, times=times, **drawn)}


def shapes_of_kernels(model: FittedKernelModel, key: Key, drawn: Shown) -> Figures:
    """The widths of the kernels, and the heaviest ones."""
    return {"Kernels": report.kernel_shapes(model.mixture_in_units(), **drawn)}


def outlines_of_kernels(model: Model) -> np.ndarray | None:
    """The heaviest kernels at two standard deviations; None of a model without them."""
    if not isinstance(model, FittedKernelModel):
        return None
    mixture = model.mixture_in_units().full()
    rows = np.argsort(-np.asarray(mixture.log_weights), kind="stable")[:_OUTLINES]
    return report.kernel_outlines(mixture, rows, 2.0)
