"""One call that draws a law on any manifold of the library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scorefold.manifolds import Manifold
from scorefold.report import panels
from scorefold.report._text import plain
from scorefold.report.axes import UNNAMED, Axes
from scorefold.report.density import (
    LogProb,
    Raster,
    density_raster,
    evaluate,
    histogram_raster,
)
from scorefold.report.flat import CoordinatePair, Plane, limits_of
from scorefold.report.hyperbolic import PoincareDisk
from scorefold.report.lines import draw_histograms, turn_ticks
from scorefold.report.maps import Mollweide
from scorefold.report.patch import Patch, patch_of
from scorefold.report.rotations import AxisView, draw_euler
from scorefold.report.torus import AnglePair, TorusChart
from scorefold.report.views import Chart, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure, FigureBase

Sets = Mapping[str, np.ndarray]

MANY = 1500
"""From so many points on, a set is drawn as a histogram and not as a scatter."""


def picture(
    manifold: Manifold,
    *,
    log_prob: LogProb | None = None,
    samples: panels.Points = None,
    data: panels.Points = None,
    title: str = "",
    scale: panels.Scale = "nats",
    axes: Axes = UNNAMED,
    pairs: Sequence[tuple[int, int]] | None = None,
    earth: bool = False,
    pixels: int = 180,
) -> Figure:
    """A density, its samples and the data, in the picture that suits the manifold.

    S²: Mollweide maps, or a map around their middle of points within half a radian of it (all but
    one in a hundred; it says how many lie outside); T² and T^d: pairs of angles in degrees; SO(3):
    Euler angles, and where the three axes go; H²: the Poincaré disk; R², R^d: pairs of
    coordinates; dimension 1: histograms; a product: one picture for each factor; anything else:
    pairs of the coordinates of ``manifold.embed``.

    **Arguments:** ``log_prob``: a model, or a function of a batch of points in nats with respect
    to Riemannian volume, drawn exactly in dimension at most 2 and on SO(3), and otherwise not
    used; ``samples`` and ``data``: arrays (n, *shape), or mappings from label to array;
    ``axes``: names, units and ranges of the columns of the table; ``pairs``: which two to draw, by
    default (0, 1), (1, 2), … up to four; ``earth``: coastlines on S², for points of the Earth.
    **Raises:** ``ValueError`` if there is nothing to draw or an array has another shape.
    """
    known = panels.point_sets(data, "data", manifold.shape)
    drawn = panels.point_sets(samples, "samples", manifold.shape)
    kind = manifold.picture
    exact = kind == "rotations" or (manifold.dim <= 2 and kind != "embedding")
    if not known and not drawn and (log_prob is None or not exact):
        raise ValueError(
            f"Nothing to draw on {manifold.name}: give samples or data"
            + (", or log_prob." if exact else " (a density alone cannot be drawn).")
        )
    density, figure = log_prob if exact else None, panels.new_figure(1.0, 1.0)
    law = _Law(manifold, density, known, drawn, scale, axes, pairs, earth, pixels)
    figure.set_size_inches(*_draw(figure, law))
    figure.suptitle(plain(title))
    return figure


def views_of(
    manifold: Manifold,
    points: Sequence[np.ndarray],
    *,
    axes: Axes = UNNAMED,
    pairs: Sequence[tuple[int, int]] | None = None,
    earth: bool = False,
) -> list[View]:
    """The views that ``picture`` and ``film`` use for a manifold; ``points`` set the range of
    the axes where the manifold does not. Empty in dimension 1 and for products."""
    kind = manifold.picture
    if manifold.dim == 1 or kind == "factors":
        return []
    if kind == "sphere":
        near = patch_of(np.concatenate([np.zeros((0, 3)), *points]), earth)
        return [Mollweide(earth=earth) if near is None else near]
    if kind == "rotations":
        return [AxisView(k) for k in range(3)]
    if kind == "disk":
        return [PoincareDisk()]
    if kind == "angles":
        if manifold.dim == 2:
            return [TorusChart(axes=axes)]
        chosen = pairs or [(k, k + 1) for k in range(min(manifold.dim - 1, 4))]
        return [AnglePair(i, j, axes) for i, j in chosen]
    flat = kind == "coordinates"
    vectors = np.concatenate([_vectors(manifold, p) for p in points] or [np.zeros((0, 2))])
    count = vectors.shape[1]
    own = axes if flat else UNNAMED
    names = [own.label(k, f"$x_{{{k + 1}}}$" if flat else f"embedding {k + 1}")
             for k in range(count)]  # fmt: skip
    shifts = [own.shift(k) for k in range(count)]
    ranges = [limits_of(vectors[:, k] + shifts[k]) for k in range(count)]
    chosen = pairs or [(k, k + 1) for k in range(min(count - 1, 4))]
    parts = [((*ranges[i], *ranges[j]), (names[i], names[j]), (shifts[i], shifts[j]))
             for i, j in chosen]  # fmt: skip
    if flat and count == 2:
        return [Plane(*parts[0])]
    return [CoordinatePair(box, i, j, named, moved)
            for (i, j), (box, named, moved) in zip(chosen, parts, strict=True)]  # fmt: skip


def view_points(manifold: Manifold, points: np.ndarray) -> np.ndarray:
    """Points in the form that the views of ``views_of`` take: as they are, or embedded."""
    embedded = manifold.picture in ("coordinates", "embedding") and manifold.dim > 1
    return _vectors(manifold, points) if embedded else points


class Line(NamedTuple):
    """A manifold of dimension 1 as an axis: numbers in the unit of the table, ``scale`` for each
    unit of length, plus ``shift``; ``low`` and ``full`` turn where they are angles."""

    manifold: Manifold
    label: str
    unit: str
    scale: float = 1.0
    shift: float = 0.0
    low: float = 0.0
    full: float | None = None

    @classmethod
    def of(cls, manifold: Manifold, axes: Axes) -> Line:
        # A circle of unit vectors comes from two columns, which are no angle.
        own = axes if manifold.picture in ("angles", "coordinates") else Axes()
        if manifold.picture not in ("angles", "circle"):
            flat = manifold.picture == "coordinates"
            label = own.label(0, "x" if flat else "embedding 1")
            return cls(manifold, label, own.unit(0), 1.0, own.shift(0))
        low, full = own.turn(0, "radians")
        unit = own.unit(0, "radians")
        label = own.label(0, "angle", "radians")
        return cls(manifold, label, unit, full / (2.0 * math.pi), 0.0, low, full)

    def values(self, points: np.ndarray) -> np.ndarray:
        """Points as numbers, (n,)."""
        if self.manifold.picture == "circle":
            length = np.arctan2(points[:, 1], points[:, 0])
        elif self.manifold.picture == "embedding":
            length = _vectors(self.manifold, points)[:, 0]
        else:
            length = points[:, 0]
        values = self.scale * length + self.shift
        return values if self.full is None else (values - self.low) % self.full + self.low

    def points(self, values: np.ndarray) -> np.ndarray:
        """The inverse, (n,) → (n, *shape); there is none for an embedding."""
        length = (values - self.shift) / self.scale
        if self.manifold.picture == "circle":
            return np.stack([np.cos(length), np.sin(length)], -1)
        if self.full is not None:
            length = (length + math.pi) % (2.0 * math.pi) - math.pi
        return length.reshape(-1, *self.manifold.shape)

    def limits(self, values: np.ndarray) -> tuple[float, float]:
        return limits_of(values) if self.full is None else (self.low, self.low + self.full)

    def ticks(self, axes: Panel) -> None:
        if self.full is not None:
            turn_ticks(axes.xaxis, self.low, self.full)


# -- parts ---------------------------------------------------------------------------------------
class _Law(NamedTuple):
    """What is drawn on one manifold, or on a factor of one."""

    manifold: Manifold
    log_prob: LogProb | None
    known: Sets
    drawn: Sets
    scale: panels.Scale
    axes: Axes
    pairs: Sequence[tuple[int, int]] | None
    earth: bool
    pixels: int


def _vectors(manifold: Manifold, points: np.ndarray) -> np.ndarray:
    if manifold.picture == "coordinates":
        return points
    embedded = jax.vmap(manifold.embed)(jnp.asarray(points.astype(jnp.result_type(float))))
    return np.asarray(embedded, dtype=np.float64)


def _draw(figure: FigureBase, law: _Law) -> tuple[float, float]:
    """Draw into a figure or a part of one; returns the size (inches) it should have."""
    manifold, sets = law.manifold, {**law.known, **law.drawn}
    if manifold.picture == "factors":
        return _draw_product(figure, law)
    if manifold.dim == 1:
        return _draw_line(figure, law)
    if manifold.picture == "rotations":
        if not sets:
            draw_euler(figure, {}, law.log_prob, law.axes)
            return (8.0, 2.8)
        rows = len(law.known) + len(law.drawn)
        ratios = [1.6 * rows + 1.0, 1.6 * rows + 0.4]
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=ratios).ravel()
        draw_euler(upper, sets, law.log_prob, law.axes)
        _draw_views(lower, law._replace(log_prob=None), views_of(manifold, []))
        return (8.5, 3.4 * rows + 1.6)
    points = [*law.known.values(), *law.drawn.values()]
    views = views_of(manifold, points, axes=law.axes, pairs=law.pairs, earth=law.earth)
    return _draw_views(figure, law, views)


def _draw_views(figure: FigureBase, law: _Law, views: list[View]) -> tuple[float, float]:
    """Kinds of panel (exact density, data, samples) against views; one view lies in a row, or in
    a column if it is wide."""
    manifold, log_prob, scale = law.manifold, law.log_prob, law.scale
    kinds: list[Sets | None] = []  # None is the exact density
    if log_prob is not None:
        kinds.append(None)
    # Few points can lie on the exact density; many would hide it.
    few = {k: v for k, v in law.known.items() if len(v) < MANY}
    kinds += [{k: v} for k, v in law.known.items() if len(v) >= MANY]
    overlaid = few if log_prob is not None else {}
    if few and log_prob is None:
        kinds.append(few)
    kinds += [{label: points} for label, points in law.drawn.items()]
    wide = isinstance(views[0], Mollweide | AxisView)
    across = len(views) > 1
    rows, columns = (len(kinds), len(views)) if across or wide else (1, len(kinds))
    grid = figure.subplots(rows, columns, squeeze=False)
    cells = grid if rows == len(kinds) else grid.T

    heat: list[tuple[Panel, Raster]] = []
    for sets, line in zip(kinds, cells, strict=True):
        for axes, view in zip(line, views, strict=True):
            if log_prob is not None and sets is None and isinstance(view, Chart):
                heat.append((axes, density_raster(view, log_prob, pixels=law.pixels)))
            elif sets and len(sets) == 1 and len(points := next(iter(sets.values()))) >= MANY:
                bins = int(np.clip(1.2 * len(points) ** 0.4, 30, 90))
                raster = histogram_raster(view, view_points(manifold, points), bins=bins)
                heat.append((axes, raster))
            else:
                view.decorate(axes, filled=False)
            axes.tick_params(labelsize=8)
    limits = panels.colour_limits([raster for _, raster in heat], scale)
    for axes, raster in heat:
        image = panels.draw_heat(axes, raster, limits, scale)
    filled = [axes for axes, _ in heat]
    for sets, line in zip(kinds, cells, strict=True):
        for axes, view in zip(line, views, strict=True):
            shown = overlaid if sets is None else {} if axes in filled else sets
            placed = {label: view_points(manifold, points) for label, points in shown.items()}
            panels.draw_points(axes, view, placed, on_heat=axes in filled)
        for k, axes in enumerate(line):
            axes.set_title(_panel_title(sets, views[k], first=k == 0), fontsize=10)
    if heat:
        panels.colour_bar(figure, image, grid.ravel().tolist(), scale, _unit(manifold, views[0]))
    # The titles name single sets; only points on a density or several sets need a legend.
    named = [line[0] for sets, line in zip(kinds, cells, strict=True)
             if (overlaid if sets is None else len(sets) > 1)]  # fmt: skip
    if named:
        panels.legend_below(figure, named[0])
    width, height = (5.6, 2.9) if wide else (3.3, 3.3)
    if across and wide:
        width, height = 2.9, 1.7
    return (width * columns + (1.1 if heat else 0.3), height * rows + (0.9 if named else 0.4))


def _panel_title(sets: Sets | None, view: View, *, first: bool) -> str:
    axis = f"where {'xyz'[view.axis]} goes" if isinstance(view, AxisView) else ""
    if sets is None:
        return "model density"
    counts = ", ".join(f"{label}, n = {len(points):,}" for label, points in sets.items())
    return f"{counts if first else ''}\n{axis}".strip("\n") if axis else counts if first else ""


def _unit(manifold: Manifold, view: View) -> str:
    if isinstance(view, Mollweide | Patch | AxisView):
        return "steradian"
    if isinstance(view, TorusChart | AnglePair):
        return "rad²"
    return "unit area"


def _draw_line(figure: FigureBase, law: _Law) -> tuple[float, float]:
    axes = figure.subplots(1, 1)
    line = Line.of(law.manifold, law.axes)
    values = {k: line.values(v) for k, v in {**law.known, **law.drawn}.items()}
    limits = line.limits(np.concatenate(list(values.values()) or [np.array([-4.0, 4.0])]))
    draw_histograms(axes, values, limits)
    if law.log_prob is not None:
        x = np.linspace(*limits, 801)
        p = np.exp(evaluate(law.log_prob, line.points(x))) / line.scale
        axes.plot(x, p, color="black", lw=1.3, label="model density")
        axes.set_ylim(bottom=0.0)
        axes.set_xlim(*limits)
    line.ticks(axes)
    axes.set_xlabel(line.label)
    axes.set_ylabel("density" + (" (per degree)" if line.unit == "degrees" else ""))
    panels.legend_below(figure, axes)
    return (6.5, 3.6)


def _draw_product(figure: FigureBase, law: _Law) -> tuple[float, float]:
    """One row for each factor, with the marginal laws of samples and data."""
    factors, split = law.manifold.factors, law.manifold.split
    rows = figure.subfigures(len(factors), 1, squeeze=False)[:, 0]
    sizes = []
    for k, (part, factor) in enumerate(zip(rows, factors, strict=True)):
        known, drawn = (
            {name: split(points)[k] for name, points in sets.items()}
            for sets in (law.known, law.drawn)
        )
        marginal = law._replace(log_prob=None, known=known, drawn=drawn, pairs=None)
        sizes.append(_draw(part, marginal._replace(manifold=factor, axes=law.axes.factor(k))))
        part.suptitle(f"factor {k + 1}: {factor.name}", fontsize=10)
    return max(w for w, _ in sizes), sum(h for _, h in sizes)
