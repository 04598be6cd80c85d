"""A field of velocities as arrows, on the view that suits the manifold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._types import Values
from scorefold.manifolds import Manifold
from scorefold.report._text import plain
from scorefold.report.axes import UNNAMED, Axes
from scorefold.report.panels import BLUE, new_figure
from scorefold.report.paths import views_of_lines
from scorefold.report.picture import view_points

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHARE = 0.2
"""Length of a long arrow beside the spread of the points."""


def arrows(
    manifold: Manifold,
    points: Values,
    velocities: Values,
    *,
    background: Values | None = None,
    title: str = "",
    axes: Axes = UNNAMED,
    earth: bool = False,
) -> Figure:
    """Arrows from x to exp_x(h v), h such that one speed in twenty is longer than a fifth of the
    standard deviation of the points; the title says what that speed is. Points of the sphere within
    half a radian of their middle are drawn as a map around it, others on two globes.

    **Arguments:** ``points``, ``velocities``: tangent vectors there, shape ``(n, *shape)``;
    ``background``: points drawn in grey; ``axes``: names and units of the table; ``earth``:
    coastlines on S².
    **Raises:** ``ValueError`` for other shapes, manifolds of dimension 1, and products, which have
    no picture.
    """
    x, v = jnp.asarray(points), jnp.asarray(velocities)
    if x.shape != v.shape or x.shape[1:] != manifold.shape or not len(x):
        raise ValueError(f"points, velocities: must have shape (n, *{manifold.shape}), got "
                         f"{x.shape} and {v.shape}.")  # fmt: skip
    if manifold.dim == 1:
        raise ValueError("points: there is no picture of arrows in one dimension.")
    behind = np.asarray(x if background is None else background)
    speed = float(np.quantile(np.asarray(jax.vmap(manifold.norm)(x, v)), 0.95))
    spread = np.asarray(jax.vmap(lambda p: jnp.ravel(manifold.embed(p)))(jnp.asarray(behind)))
    size = float(np.sqrt(spread.var(axis=0).sum()))
    scale = jnp.asarray(_SHARE * size / speed if speed > 0 else 0.0, x.dtype)
    tips = np.asarray(jax.vmap(lambda p, w: manifold.exp(p, scale * w))(x, v))
    everything = np.concatenate([behind, np.asarray(x), tips])
    views = views_of_lines(manifold, everything, axes, earth)
    said = f"a long arrow is a speed of {speed:.3g} per unit of time"
    words = plain(f"{title}: {said}" if title else said)
    figure = new_figure(max(4.4 * len(views), 5.4), 4.7)
    row = figure.subplots(1, len(views), squeeze=False)[0]
    grey, first, last = (
        view_points(manifold, np.asarray(p, np.float64)) for p in (behind, np.asarray(x), tips)
    )
    for panel, view in zip(row, views, strict=True):
        view.decorate(panel, filled=False)
        xy, seen = view.project(grey)
        panel.scatter(*xy[seen].T, s=2, color="0.75", linewidths=0, zorder=2)
        (a, there), (b, also) = view.project(first), view.project(last)
        left, right, bottom, top = view.extent
        step = np.abs(b - a)
        close = (step[:, 0] < 0.4 * (right - left)) & (step[:, 1] < 0.4 * (top - bottom))
        shown = there & also & close
        panel.quiver(
            *a[shown].T, *(b - a)[shown].T, angles="xy", scale_units="xy", scale=1.0, color=BLUE,
            width=0.004, zorder=3,
        )  # fmt: skip
    figure.suptitle(words, fontsize=9)
    return figure
