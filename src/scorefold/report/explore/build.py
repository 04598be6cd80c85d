"""From laws and points to what a page lets its reader explore."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from scorefold._types import NumPyOrJax
from scorefold.report.axes import UNNAMED, Axes
from scorefold.report.density import LogProb, evaluate
from scorefold.report.explore.ground import Ground, OnSphere, OnTorus
from scorefold.report.explore.grounds import grounds_of
from scorefold.report.explore.scene import Body, Curves, Layer, Scene, Series, Stage
from scorefold.report.maps import best_centre
from scorefold.report.panels import NATS_SHOWN
from scorefold.report.picture import Line
from scorefold.report.views import View

if TYPE_CHECKING:
    from scorefold.manifolds import Manifold

Sets = Mapping[str, NumPyOrJax]
_Rasters = dict[tuple[View | Ground, int], tuple[np.ndarray, str] | None]

_MOST = 9000
"""Points of one layer, over all bodies of a stage."""
_HIDING = 1000
"""Points that hide a density below them."""
_DATA = ("#ffffff", "#10131a", "#56b4e9", "#009e73")
_ENDS = ("#56b4e9", "#009e73", "#cc79a7", "#f0e442")
"""Of data, over a density and where there is none."""
_DRAWS, _KERNELS, _WAYS = "#ff8c1a", "#ff5fa2", "#8a919c"


@dataclasses.dataclass(frozen=True)
class Explored:
    """What is shown of one model or bridge.

    - ``log_prob``: its density in nats, where it is cheap enough for some ten thousand points;
    - ``draws``: (n, *shape);
    - ``kernels``: closed curves (k, m, *shape);
    - ``ways``: paths (n, times, *shape) at ``times``.
    """

    name: str = ""
    log_prob: LogProb | None = None
    draws: NumPyOrJax | None = None
    kernels: NumPyOrJax | None = None
    ways: NumPyOrJax | None = None
    times: Sequence[float] = ()


def scene_of(
    manifold: Manifold,
    shown: Sequence[Explored],
    *,
    data: Sets,
    curves: Sequence[Curves] = (),
    axes: Axes = UNNAMED,
    earth: bool = False,
    cells: int = 120,
) -> Scene:
    """Models or bridges side by side, over the same ``data``: on the ground that suits the
    manifold, and each factor of a product by itself.

        shown = report.Explored(log_prob=model.log_prob, draws=model.sample(key, 500))
        scene = report.scene_of(model.manifold, [shown], data={"test": test})
        report.write_report("page", title="t", metrics={}, figures={}, scene=scene)

    **Arguments:** ``data``: arrays (n, *shape) by name; ``curves``: charts beside these; ``axes``:
    names, units and ranges of the table; ``earth``: coastlines on S²; ``cells``: rows of the grid
    on which densities are evaluated, twice as many columns.
    """
    stages, charts = _of_one(manifold, shown, data, axes, earth, cells, "")
    return Scene(stages, [*charts, *curves])


def _of_one(
    manifold: Manifold, shown: Sequence[Explored], data: Sets, axes: Axes, earth: bool, cells: int,
    where: str,
) -> tuple[list[Stage], list[Curves]]:  # fmt: skip
    if manifold.picture == "factors":
        stages, charts = [], []
        for k, factor in enumerate(manifold.factors):
            split = lambda x, k=k: None if x is None else _factor(manifold, x, k)  # noqa: E731
            parts = [dataclasses.replace(one, log_prob=None, kernels=None, draws=split(one.draws),
                                         ways=split(one.ways)) for one in shown]  # fmt: skip
            own = {name: _factor(manifold, x, k) for name, x in data.items()}
            title = f"factor {k + 1}, {factor.name}: "
            more = _of_one(factor, parts, own, axes.factor(k), earth, cells, where + title)
            stages += more[0]
            charts += more[1]
        return stages, charts
    if manifold.dim == 1:
        return [], [_on_line(Line.of(manifold, axes), shown, data, where)]
    sets = [*data.values(), *(one.draws for one in shown if one.draws is not None)]
    sets += [one.ways[:, k] for one in shown if one.ways is not None for k in (0, -1)]
    points = np.concatenate([np.asarray(x, np.float64) for x in sets])
    chosen = grounds_of(manifold, points, axes, earth)
    kept: _Rasters = {}
    made = [_stage(where + title, grounds, shown, data, points, cells, kept)
            for title, grounds in chosen]  # fmt: skip
    return made, []


def _factor(manifold: Manifold, points: NumPyOrJax, k: int) -> np.ndarray:
    """Factor k of points with any axes before those of a point."""
    points = np.asarray(points)
    before = points.shape[: points.ndim - len(manifold.shape)]
    part = np.asarray(manifold.split(points.reshape(-1, *manifold.shape))[k])
    return part.reshape(*before, *part.shape[1:])


def _stage(
    title: str,
    grounds: Sequence[Ground],
    shown: Sequence[Explored],
    data: Sets,
    points: np.ndarray,
    cells: int,
    kept: _Rasters,
) -> Stage:
    first, count = grounds[0], len(grounds) * len(shown)
    together = len(grounds) == 1
    bodies = []
    for k, one in enumerate(shown):
        for ground in grounds:
            axis = getattr(ground, "axis", None)
            where = "" if axis is None else f"where {'xyz'[axis]} goes"
            # The torus and the square of two angles show one density.
            place = (getattr(ground, "view", ground), k)
            if place not in kept:
                draws = None if one.draws is None else np.asarray(one.draws, np.float64)
                kept[place] = ground.raster(one.log_prob, draws, cells)
            found = kept[place]
            own = [] if together else _points(ground, data, count)
            bodies.append(Body(
                ": ".join(word for word in (one.name, where) if word),
                [*own, *_layers(ground, one, count)],
                *(() if found is None else found),
            ))  # fmt: skip
    dense = any(body.raster is not None for body in bodies)
    shared = _points(first, data, count, _DATA if dense else _ENDS) if together else []
    if dense:
        shared = [_sparse(layer) for layer in shared]
        bodies = [dataclasses.replace(body, layers=[_sparse(layer) for layer in body.layers])
                  for body in bodies]  # fmt: skip
    if isinstance(first, OnSphere) and first.earth:
        shared.append(Layer("coastlines", "coast", lines=first.coast()))
    values = [b.raster[np.isfinite(b.raster)] for b in bodies if b.raster is not None]
    known = np.concatenate(values) if values else np.zeros(0)
    top = float(known.max()) if known.size else 0.0
    low = max(float(known.min()) if known.size else -1.0, top - NATS_SHOWN)
    return Stage(
        title,
        first.shape,
        first.rulers,
        first.unit,
        bodies,
        shared,
        first.grid(),
        first.labels(),
        first.half,
        _facing(first, points),
        columns=min(len(shown), 2) if together else len(grounds),
        disk=first.disk,
        earth=getattr(first, "earth", False),
        limits=(low, top) if top - low > 1e-3 else (top - 0.5, top + 0.5),
        same=together,
    )


def _facing(ground: Ground, points: np.ndarray) -> tuple[float, float, float]:
    """From where most points are seen."""
    if isinstance(ground, OnSphere):
        lat, lon = (math.radians(a) for a in best_centre(ground.place(points)))
        return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)
    if not isinstance(ground, OnTorus):
        return (1.0, -0.9, 0.6)
    x, y, z = ground.place(points).mean(axis=0)
    turn = math.atan2(y, x)
    # Into the hole where they lie inside of it.
    turn += math.pi * (math.hypot(x, y) < 0.8)
    return math.cos(turn), math.sin(turn), 0.75 if z >= 0 else -0.75


def _sparse(layer: Layer) -> Layer:
    """Hidden at first if its points would hide the density."""
    many = layer.points is not None and len(layer.points) > _HIDING
    return dataclasses.replace(layer, shown=not many and layer.shown)


def _points(ground: Ground, data: Sets, bodies: int, colours: Sequence[str] = _DATA) -> list[Layer]:
    return [
        _scatter(ground, name, colours[k % len(colours)], x, bodies)
        for k, (name, x) in enumerate(data.items())
    ]


def _scatter(ground: Ground, name: str, colour: str, points: NumPyOrJax, bodies: int) -> Layer:
    """Points, some of them where they are very many."""
    kept = np.asarray(points, np.float64)
    kept = kept[np.isfinite(kept).reshape(len(kept), -1).all(-1)]
    most, n = max(_MOST // bodies, 300), len(kept)
    if n > most:
        kept = kept[np.sort(np.random.default_rng(0).permutation(n)[:most])]
        name = f"{name} ({most:,} of {n:,})"
    return Layer(name, colour, points=ground.place(kept))


def _layers(ground: Ground, one: Explored, bodies: int) -> list[Layer]:
    found = []
    if one.draws is not None:
        found.append(_scatter(ground, "draws", _DRAWS, one.draws, bodies))
    if one.kernels is not None:
        curves = [ground.place(np.asarray(curve)) for curve in one.kernels]
        pieces = [piece for curve in curves for piece in ground.split(curve)]
        found.append(Layer("kernels", _KERNELS, lines=pieces, shown=False))
    if one.ways is not None:
        frames = np.unique(np.linspace(0, len(one.times) - 1, _FRAMES).round().astype(int))
        some = np.asarray(one.ways, np.float64)[: max(_WAYS_MOST // bodies, 60), frames]
        placed = np.stack([ground.place(some[:, k]) for k in range(some.shape[1])])
        few = placed[:, :_LINES].swapaxes(0, 1)
        lines = [piece for line in few for piece in ground.split(line)]
        found += [
            Layer(f"paths of {len(few)}", _WAYS, lines=lines),
            Layer(
                "points on their way", _DRAWS, moving=placed, times=[one.times[k] for k in frames]
            ),
        ]
    return found


def _on_line(line: Line, shown: Sequence[Explored], data: Sets, where: str) -> Curves:
    """Dimension 1: densities, and histograms of points."""
    sets = {**data, **{_named("draws", one): one.draws for one in shown if one.draws is not None}}
    for one in shown:
        if one.ways is not None:
            sets |= {_named(f"t = {one.times[k]:.3g}", one): one.ways[:, k]
                     for k in (0, len(one.times) // 2, -1)}  # fmt: skip
    values = {name: line.values(np.asarray(x, np.float64)) for name, x in sets.items()}
    limits = line.limits(np.concatenate(list(values.values())))
    series = []
    for one in shown:
        if one.log_prob is not None:
            x = np.linspace(*limits, 401)
            p = np.exp(evaluate(one.log_prob, line.points(x))) / line.scale
            series.append(Series(_named("model density", one), x, p))
    edges = np.linspace(*limits, 49)
    for name, numbers in values.items():
        height = np.histogram(numbers, edges)[0] / (max(len(numbers), 1) * np.diff(edges))
        steps = np.repeat(edges, 2)[1:-1], np.repeat(height, 2)
        series.append(Series(name, *steps, faint=True))
    per = " (per degree)" if line.unit == "degrees" else ""
    return Curves(where + "density", line.label.replace("$", ""), "density" + per, series)


def _named(name: str, one: Explored) -> str:
    return f"{name}, {one.name}" if one.name else name


_WAYS_MOST, _LINES, _FRAMES = 300, 25, 61
"""Paths that are played, over all bodies; drawn as lines in each; times of them."""
