"""The kernels of a mixture: how wide they are, how far apart, and where the heaviest lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device, taken
from scorefold._types import Point
from scorefold.manifolds import nearest
from scorefold.report._text import plain
from scorefold.report.axes import UNNAMED, Axes
from scorefold.report.lines import draw_outlines
from scorefold.report.maps import Mollweide
from scorefold.report.panels import BLUE, new_figure
from scorefold.report.picture import views_of
from scorefold.report.views import Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure, FigureBase

    from scorefold.kernels import WrappedMixture

_AROUND, _ALONG = 48, 9


def kernel_shapes(
    mixture: WrappedMixture,
    *,
    heaviest: int = 200,
    axes: Axes = UNNAMED,
    earth: bool = False,
    title: str = "",
) -> Figure:
    """Left: the standard deviations √λ of the kernels along their longest and shortest axes, and
    the distances between nearest neighbours among the centres. Middle: one against the other,
    kernel by kernel (the geometric mean over the axes). On S², T², H² and R² also the ellipses of
    two standard deviations of the ``heaviest`` kernels, on the ``axes`` of the table. Equal
    centres count once.
    """
    manifold, mixture = mixture.manifold, mixture.full()
    centres = np.asarray(mixture.centres, np.float64)
    rows = np.unique(centres.reshape(len(centres), -1), axis=0, return_index=True)[1]
    stds = np.sqrt(np.asarray(mixture.variances, np.float64))[rows]
    apart = nearest(manifold, centres[rows], centres[rows], 1, exclude_self=True)[1][:, 0]
    unit = " (rad)" if manifold.compact and len(manifold.factors) == 1 else ""

    views = views_of(manifold, [centres], axes=axes, earth=earth) if manifold.dim == 2 else []
    chart = views[0] if views and isinstance(views[0], Chart) else None
    wide = isinstance(chart, Mollweide)
    figure = new_figure(8.6, 7.4) if wide else new_figure(12.6 if chart else 8.6, 3.8)
    curves: FigureBase = figure
    if chart is not None:
        parts = (
            figure.subfigures(2, 1, squeeze=False, height_ratios=[3.4, 4.0])
            if wide
            else figure.subfigures(1, 2, squeeze=False, width_ratios=[8.6, 4.0])
        )
        curves, beside = parts.ravel()
        _draw_ellipses(beside.subplots(1, 1), mixture, chart, heaviest)
    left, right = curves.subplots(1, 2)
    named = {"standard deviations": stds[:, 0]}
    if manifold.dim > 1:
        named = {"longest axis": stds.max(axis=1), "shortest axis": stds.min(axis=1)}
    draw_outlines(left, {**named, "nearest neighbour": apart})
    left.set_xlabel(f"standard deviation, or distance{unit}")
    left.set_ylabel("kernels")
    left.legend(fontsize=8)
    right.hexbin(
        apart, np.exp(np.log(stds).mean(axis=1)), xscale="log", yscale="log", bins="log",
        gridsize=36, mincnt=1, cmap="Blues", vmin=0.4, linewidths=0.1,
    )  # fmt: skip
    ends = np.array([apart.min(), apart.max()])
    right.plot(ends, ends, color="0.35", ls=":", lw=1.2, label="as wide as the distance")
    right.set_xlabel(f"distance to the nearest neighbour{unit}")
    right.set_ylabel(f"standard deviation{unit}")
    right.legend(fontsize=8)
    for panel in (left, right):
        panel.tick_params(labelsize=8)
    figure.suptitle(plain(title))
    return figure


def kernel_ellipses(mixture: WrappedMixture, rows: np.ndarray, deviations: float) -> np.ndarray:
    """Closed curves at ``deviations`` standard deviations around the kernels ``rows`` of a
    mixture of dimension 2, shape ``(len(rows), 49, *manifold.shape)``."""
    angle = np.linspace(0.0, 2.0 * np.pi, _AROUND + 1)
    return _around(mixture, rows, deviations * np.stack([np.cos(angle), np.sin(angle)], -1))


def kernel_outlines(mixture: WrappedMixture, rows: np.ndarray, deviations: float) -> np.ndarray:
    """``kernel_ellipses`` in dimension 2; otherwise the axes of the kernels as far as
    ``deviations`` standard deviations, shape ``(len(rows) · dim, 9, *manifold.shape)``."""
    d = mixture.manifold.dim
    if d == 2:
        return kernel_ellipses(mixture, rows, deviations)
    along = np.einsum("ij,k->ikj", np.eye(d), np.linspace(-deviations, deviations, _ALONG))
    lines = _around(mixture, rows, along.reshape(-1, d))
    return lines.reshape(len(rows) * d, _ALONG, *mixture.manifold.shape)


def _around(mixture: WrappedMixture, rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """exp_z(Σ_k c_k √λ_k E_k) for each of the kernels ``rows`` and of the places c (m, dim)."""
    manifold = mixture.manifold
    around = device(places, mixture.centres.dtype)

    def one(z: Point, axes: Array, variances: Array) -> Array:
        def at(c: Array) -> Point:
            v = (jnp.sqrt(variances) * c) @ axes
            return manifold.exp(z, manifold.from_components(z, v))

        return jax.vmap(at)(around)

    parts = (taken(a, rows) for a in (mixture.centres, mixture.axes, mixture.variances))
    return np.asarray(jax.jit(jax.vmap(one))(*parts), np.float64)


def _draw_ellipses(axes: Panel, mixture: WrappedMixture, chart: Chart, heaviest: int) -> None:
    weights = np.asarray(mixture.log_weights)
    rows = np.argsort(-weights, kind="stable")[:heaviest]
    left, right, bottom, top = chart.extent
    chart.decorate(axes, filled=False)
    for curve in kernel_ellipses(mixture, rows, 2.0):
        xy, visible = chart.project(curve)
        xy = np.where(visible[:, None], xy, np.nan)
        # A curve that leaves the map on one side comes back on the other.
        step = np.abs(np.diff(xy, axis=0)) / [right - left, top - bottom]
        xy = np.insert(xy, np.flatnonzero((step > 0.3).any(axis=1)) + 1, np.nan, axis=0)
        axes.plot(*xy.T, color=BLUE, lw=0.8, alpha=0.8, zorder=4)
    share = float(np.exp(weights[rows]).sum())
    axes.set_title(
        f"the {len(rows)} heaviest of {len(weights):,} kernels, two standard deviations: "
        f"{100 * share:.0f} % of the mass" if isinstance(chart, Mollweide) else
        f"the {len(rows)} heaviest kernels,\ntwo standard deviations", fontsize=9,
    )  # fmt: skip
    axes.tick_params(labelsize=8)
