"""A field of velocities as arrows, on the view that suits the manifold."""

from __future__ import annotations

import math
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
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure

_PATCH = 0.5
"""Radians around a middle that are drawn as a map of their own."""
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
    views = views_of_lines(manifold, behind, axes, earth)
    speed = float(np.quantile(np.asarray(jax.vmap(manifold.norm)(x, v)), 0.95))
    spread = np.asarray(jax.vmap(lambda p: jnp.ravel(manifold.embed(p)))(jnp.asarray(behind)))
    size = float(np.sqrt(spread.var(axis=0).sum()))
    scale = jnp.asarray(_SHARE * size / speed if speed > 0 else 0.0, x.dtype)
    tips = np.asarray(jax.vmap(lambda p, w: manifold.exp(p, scale * w))(x, v))
    said = f"a long arrow is a speed of {speed:.3g} per unit of time"
    words = plain(f"{title}: {said}" if title else said)
    middle = _centre_of_patch(behind) if manifold.picture == "sphere" else None
    if middle is not None:
        figure = new_figure(5.6, 5.4)
        first, last = np.asarray(x, np.float64), np.asarray(tips, np.float64)
        _draw_patch(figure.subplots(1, 1), middle, behind, first, last)
        figure.suptitle(words, fontsize=9)
        return figure
    figure = new_figure(4.4 * len(views), 4.7)
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


def _centre_of_patch(points: np.ndarray) -> np.ndarray | None:
    """The middle of points of the sphere that lie within half a radian of it, else None."""
    middle = np.asarray(points, np.float64).mean(axis=0)
    size = float(np.linalg.norm(middle))
    if size < 0.5 or float((points @ (middle / size)).min()) < math.cos(_PATCH):
        return None
    return middle / size


def _draw_patch(
    axes: Panel, middle: np.ndarray, behind: np.ndarray, first: np.ndarray, last: np.ndarray
) -> None:
    """Around the middle of a patch, distances from it kept (its tangent plane), in degrees, with
    the nearest circles of latitude and longitude."""
    flat = math.hypot(middle[0], middle[1])
    east = np.array([-middle[1], middle[0], 0.0]) / flat if flat > 1e-9 else np.array([0.0, 1.0, 0])
    north = np.cross(middle, east)

    def seen(points: np.ndarray) -> np.ndarray:
        part = np.stack([points @ east, points @ north], axis=-1)
        length = np.linalg.norm(part, axis=-1, keepdims=True)
        away = np.arctan2(length, (points @ middle)[..., None])
        return np.degrees(part * away / np.maximum(length, 1e-12))

    a, b, grey = seen(first), seen(last), seen(np.asarray(behind, np.float64))
    reach = 1.15 * float(np.abs(np.concatenate([grey, b])).max()) or 1.0
    step = float(10.0 ** np.floor(np.log10(reach)))
    lat = math.degrees(math.asin(float(np.clip(middle[2], -1.0, 1.0))))
    lines = np.arange(math.floor((lat - 2 * reach) / step), math.ceil((lat + 2 * reach) / step) + 1)
    around = np.radians(np.arange(0.0, 360.1, 0.5))
    for degrees in lines * step:
        if abs(degrees) < 90.0:
            t = math.radians(degrees)
            circle = np.stack([math.cos(t) * np.cos(around), math.cos(t) * np.sin(around),
                               np.full_like(around, math.sin(t))], axis=-1)  # fmt: skip
            _line(axes, seen(circle), reach)
    up = np.radians(np.arange(-89.5, 89.6, 0.1))
    for degrees in range(0, 360, 15):
        t = math.radians(degrees)
        half = np.stack([np.cos(up) * math.cos(t), np.cos(up) * math.sin(t), np.sin(up)], axis=-1)
        _line(axes, seen(half), reach)
    axes.scatter(grey[:, 0], grey[:, 1], s=2, color="0.75", linewidths=0, zorder=2)
    axes.quiver(*a.T, *(b - a).T, angles="xy", scale_units="xy", scale=1.0, color=BLUE,
                width=0.004, zorder=3)  # fmt: skip
    lon = math.degrees(math.atan2(float(middle[1]), float(middle[0])))
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set(xlabel=f"degrees east of {lon:.4g}°", ylabel=f"degrees north of {lat:.4g}°")


def _line(axes: Panel, points: np.ndarray, reach: float) -> None:
    near = np.abs(points).max(axis=1) < 2.0 * reach
    axes.plot(*np.where(near[:, None], points, np.nan).T, color="0.85", lw=0.6, zorder=1)
