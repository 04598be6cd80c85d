"""Drawing on one pair of axes: heat maps, points, colour bars. No global state, no pyplot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from scorefold._types import Values
from scorefold.report._text import plain
from scorefold.report.density import Raster
from scorefold.report.views import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure, FigureBase
    from matplotlib.image import AxesImage

Points = Values | Mapping[str, Values] | None
"""An array (n, *shape), or arrays by label."""

Scale = Literal["nats", "density"]
"""Heat maps show log p in nats, or p."""

# Okabe and Ito's colours, told apart by all common kinds of colour vision; the markers differ too.
BLUE, ORANGE, COLOURS = "#0072B2", "#D55E00", ("#0072B2", "#D55E00", "#009E73", "#000000")
_MARKERS = ("o", "^", "s", "+")
# On a heat map from dark blue to yellow only black and white stand out everywhere, each with an
# edge of the other.
_ON_HEAT = ("white", "black", "#FF8C1A", "white")
_EDGES = ("black", "white", "black", "white")

NATS_SHOWN = 7.0
"""Heat maps in nats reach this far below the largest value; everything lower has one colour."""


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own, outside pyplot, in inches; nothing in it overlaps."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def point_sets(points: Points, name: str, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Arrays to draw, by label: one array gets the label ``name``; rows that are not finite are
    left out and the label says how many.

    **Raises:** ``ValueError`` if an array is not (n, *shape).
    """
    if points is None:
        return {}
    named = points if isinstance(points, Mapping) else {name: points}
    sets = {}
    for label, values in named.items():
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 1 + len(shape) or array.shape[1:] != shape:
            inner = ", ".join(map(str, shape))
            raise ValueError(f"{label} must have shape (n, {inner}), got {array.shape}.")
        finite = np.isfinite(array).reshape(len(array), -1).all(-1)
        lost = len(array) - int(finite.sum())
        shown = plain(label)
        sets[f"{shown} ({lost} not finite)" if lost else shown] = array[finite]
    return sets


def colour_limits(rasters: Sequence[Raster], scale: Scale) -> tuple[float, float]:
    """One range for several heat maps: 0…max for densities, and for log densities the largest
    value and ``NATS_SHOWN`` nats below it, or less if all values are larger."""
    seen = [r.log_density[np.isfinite(r.log_density)] for r in rasters]
    values = np.concatenate(seen) if seen else np.zeros(0)
    if not values.size:
        return (0.0, 1.0)
    top = float(values.max())
    if scale == "density":
        return (0.0, float(np.exp(top)))
    low = max(float(values.min()), top - NATS_SHOWN)
    return (low, top) if top - low > 1e-3 else (top - 0.5, top + 0.5)


def draw_heat(axes: Panel, raster: Raster, limits: tuple[float, float], scale: Scale) -> AxesImage:
    """The heat map of a raster (cividis), with the boundary and grid of its view; returns what a
    colour bar needs."""
    edge = raster.view.decorate(axes, filled=True)
    values = raster.log_density if scale == "nats" else np.exp(raster.log_density)
    values = np.clip(np.nan_to_num(values, nan=limits[0], neginf=limits[0]), *limits)
    exact = bool(np.isfinite(raster.log_density).all())
    image = axes.imshow(
        values, origin="lower", extent=raster.view.extent, aspect=axes.get_aspect(), zorder=1,
        cmap="cividis", vmin=limits[0], vmax=limits[1],
        interpolation="bilinear" if exact else "nearest",
    )  # fmt: skip
    if edge is not None:
        image.set_clip_path(edge)
    return image


def draw_points(
    axes: Panel,
    view: View,
    sets: Mapping[str, np.ndarray],
    *,
    on_heat: bool,
    colours: Sequence[str] | None = None,
    size: float = 1.0,
) -> None:
    """A scatter of each set, with its own colour and marker; of two sets the one of fewer points
    lies above, or it would not be seen. The caller draws what lies below; ``size`` scales the
    markers, whose area shrinks with the number of points."""
    palette = colours or (_ON_HEAT if on_heat else COLOURS)
    counts = [len(points) for points in sets.values()]
    for k, (label, points) in enumerate(sets.items()):
        xy, visible = view.project(points)
        area = size * float(np.clip(4000.0 / max(len(points), 1), 1.5, 16.0))
        x, y = xy[visible].T
        axes.scatter(
            x, y, s=area, marker=_MARKERS[k % 4],
            zorder=4 + 0.1 * sum(n > len(points) for n in counts),
            color=palette[k % len(palette)],
            edgecolors=None if k % 4 == 3 else _EDGES[k % 4] if on_heat else "none",
            linewidths=0.8 if k % 4 == 3 else 0.4 if on_heat else 0.0,
            alpha=0.9 if on_heat or len(points) < 1000 else 0.55,
            snap=False, label=f"{label}, n = {len(points):,}",
        )  # fmt: skip


def legend_below(figure: FigureBase, axes: Panel) -> None:
    """A legend under the whole figure for what these axes show, if they show anything named."""
    handles, labels = axes.get_legend_handles_labels()
    faces = [h.get_facecolor() for h in handles if hasattr(h, "get_facecolor")]
    white = any(np.all(np.asarray(face)[..., :3] > 0.99) for face in faces)
    if handles:
        shown = figure.legend(
            handles, labels, loc="outside lower center", ncols=min(len(labels), 4), fontsize=9,
            frameon=True, facecolor="0.85" if white else "white", edgecolor="0.6",
        )  # fmt: skip
        for handle in shown.legend_handles:
            if handle is not None and hasattr(handle, "set_sizes"):
                handle.set_sizes([30.0])
                handle.set_alpha(1.0)


def colour_bar(
    figure: FigureBase, image: AxesImage, axes: Sequence[Panel], scale: Scale, unit: str
) -> None:
    """One colour bar for several axes; its lower end is an arrow where lower values are cut."""
    label = f"log density (nats, per {unit})" if scale == "nats" else f"density (per {unit})"
    bar = figure.colorbar(
        image, ax=list(axes), shrink=0.8, pad=0.02, extend="min" if scale == "nats" else "neither"
    )
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=8)
