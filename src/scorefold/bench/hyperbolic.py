"""Mixtures of known density on hyperbolic spaces (De Bortoli et al. 2022 show draws alone)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._types import Document, Key
from scorefold.bench.contract import (
    Cell,
    Figures,
    Measurement,
    Result,
    Table,
    TableRequest,
)
from scorefold.bench.curves import learning_curves
from scorefold.bench.fitted import Method, density_for_maps, likelihood, trained
from scorefold.bench.truth import MEASURES, PROTOCOL, SIZES, beside_truth, cells, drawn
from scorefold.data import Dataset, HeatMixture, Law, target
from scorefold.losses import Implicit
from scorefold.manifolds import Hyperbolic
from scorefold.models import Model, ScoreModel
from scorefold.noising import Langevin, Linear
from scorefold.report.density import Raster, evaluate, pixel_centres
from scorefold.report.hyperbolic import PoincareDisk
from scorefold.runs.models.pictures import Density

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DISK = PoincareDisk(reach=3.5)
_PIXELS = 48
_NOTHING = -99.0
"""Lower log densities are kept as this."""
_DRAWS = 400
"""Points of a figure."""


# -- the laws --------------------------------------------------------------------------------------
def _four(key: Key) -> HeatMixture:
    """The law of the figure: spreads of 0.2 at distance 0.85 of the origin."""
    law = target("hyperbolic-mixture").make(key)
    assert isinstance(law, HeatMixture)
    return law


def _eight(key: Key) -> HeatMixture:
    """Spreads from 0.14 to 0.45 in all directions, at distances up to 2.5 of the origin: where a
    circle is six times as long as in the plane."""
    turn, out, wide, share = jax.random.split(key, 4)
    angle = 2.0 * jnp.pi * (jnp.arange(8.0) + jax.random.uniform(turn, (8,))) / 8.0
    radius = jnp.tanh(0.5 * jax.random.uniform(out, (8,), minval=0.5, maxval=2.5))
    ball = radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
    s = jnp.exp(jax.random.uniform(wide, (8,), minval=jnp.log(0.02), maxval=jnp.log(0.2)))
    weights = jax.random.uniform(share, (8,), minval=0.5, maxval=1.5)
    space = Hyperbolic(2)
    return HeatMixture(space, space.from_poincare(ball), s, weights)


def _six(key: Key) -> HeatMixture:
    """The six corners of an octahedron, each as one of the four."""
    space = Hyperbolic(3)
    ball = 0.4 * np.concatenate([np.eye(3), -np.eye(3)])
    return HeatMixture(space, space.from_poincare(ball), 0.04)


LAWS: Mapping[str, Callable[[Key], HeatMixture]] = {
    "four on H^2": _four,
    "eight on H^2": _eight,
    "six on H^3": _six,
}


def true_law(name: str, seed: int) -> Law:
    """The law that a seed draws; of the first and the last each seed has the same."""
    law, _ = jax.random.split(jax.random.key(seed))
    return LAWS[name](law)


# -- the methods -----------------------------------------------------------------------------------
def _langevin(dataset: Dataset) -> ScoreModel:
    """The published process: Langevin dynamics towards a wrapped normal of spread ½ about the
    origin, whose transition is not known."""
    noising = Langevin(dataset.manifold, Linear(0.01, 2.0), std=0.5)
    return ScoreModel(noising, Implicit())


_PUBLISHED = trained(120.0, {"steps": 200}, steps=100_000, batch_size=512)
LANGEVIN = "score, Langevin to a wrapped normal"
METHODS: dict[str, Method] = {
    "heat-mixture": Method("heat-mixture", {"components": (4, 6, 8, 12)}),
    "kernel": Method("kernel"),
    "score": Method("score", trained=_PUBLISHED),
    LANGEVIN: Method("score", trained=_PUBLISHED, describe=_langevin),
    "flow-matching": Method("flow-matching", trained=_PUBLISHED),
    "pushforward": Method("pushforward", trained=_PUBLISHED),
}
_SEEDS = {"heat-mixture": 3, "kernel": 3}
"""Of the others one."""


def _cells(request: TableRequest) -> Iterator[Cell]:
    return cells(request, tuple(LAWS), METHODS, _SEEDS, _measure)


def _measure(request: TableRequest, name: str, method: str, seed: int) -> Measurement:
    _, draws = jax.random.split(jax.random.key(seed))
    dataset = drawn(name, true_law(name, seed), draws, SIZES[request.length], seed)

    def more(model: Model) -> Document:
        if seed:
            return {}
        points = np.asarray(model.sample(jax.random.key(seed), _DRAWS), np.float64)
        found: Document = {"draws": _rounded(points)}
        try:
            field = _disk_field(dataset.manifold.dim, density_for_maps(model))
        except (FloatingPointError, RuntimeError) as error:  # the flow far from all data
            return {**found, "no_field": str(error)}
        return {**found, "field": _rounded(np.maximum(field, _NOTHING))}

    return beside_truth(likelihood(METHODS[method], dataset, request.length, more=more), dataset)


# -- pictures --------------------------------------------------------------------------------------
def _disk_field(dim: int, log_prob: Density) -> np.ndarray:
    """log p on the pixels of a Poincaré disk; of H³ on the plane through the origin in which the
    last coordinate is 0. NaN outside."""
    xy, _ = pixel_centres(_DISK, _PIXELS, _PIXELS)
    inside = _DISK.inside(xy)
    points = _DISK.lift(xy[inside])
    points = np.pad(points, ((0, 0), (0, dim - 2)))
    field = np.full(len(xy), np.nan)
    field[inside] = evaluate(log_prob, points, batch=4096)
    return field.reshape(_PIXELS, _PIXELS)


def _rounded(values: np.ndarray) -> list[list[float | None]]:
    """Rows of numbers with three digits behind the point, null for NaN, as JSON has it."""
    return [[None if math.isnan(v) else round(v, 3) for v in row] for row in values.tolist()]


def _disks(runs: Mapping[str, Result], law: Law, title: str) -> Figure:
    """The true density and test points, and each method's density and draws."""
    from scorefold.report import panels

    fields = {"the truth": _disk_field(law.manifold.dim, law.log_prob)}
    points = {"the truth": np.asarray(law.sample(jax.random.key(1), _DRAWS), np.float64)}
    nothing = np.full((_PIXELS, _PIXELS), np.nan)
    for method, run in runs.items():
        fields[method] = np.array(run.more.get("field", nothing), np.float64)
        points[method] = np.array(run.more["draws"], np.float64)
    rasters = {name: Raster(_DISK, np.nan_to_num(f, nan=_NOTHING)) for name, f in fields.items()}
    limits = panels.colour_limits([rasters["the truth"]], "nats")
    columns = min(4, len(rasters))
    rows = -(-len(rasters) // columns)
    figure = panels.new_figure(2.8 * columns + 1.0, 3.0 * rows + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(rasters) :]:
        axes.set_axis_off()
    for axes, (name, raster) in zip(grid, rasters.items(), strict=False):
        image = panels.draw_heat(axes, raster, limits, "nats")
        ball = points[name][:, 1:] / (1.0 + points[name][:, :1])
        axes.scatter(
            ball[:, 0], ball[:, 1], s=5.0, color="white", edgecolors="black", lw=0.3, zorder=4
        )
        unsolved = name in runs and "field" not in runs[name].more
        axes.set_title(f"{name}\n(density not solved)" if unsolved else name, fontsize=9)
    panels.colour_bar(figure, image, list(grid), "nats", f"volume of H^{law.manifold.dim}")
    figure.suptitle(title)
    return figure


def _figures(runs: Sequence[Result], folder: Path) -> Figures:
    for name in LAWS:
        own = {run.method: run for run in runs if run.data == name and run.seed == 0}
        file = name.replace(" ", "-").replace("^", "")
        shown = {method: run for method, run in own.items() if "draws" in run.more}
        if shown:
            law = true_law(name, 0)
            plane = " (plane through the origin; draws projected on it)" if "3" in name else ""
            yield f"disks-{file}", _disks(shown, law, f"{name}: log density and draws{plane}")
        curved = {method: run for method, run in own.items() if len(run.more.get("curve", ())) > 2}
        if curved:
            yield f"curves-{file}", learning_curves(curved, name, "validation NLL (nats)")


def _caption(runs: Sequence[Result]) -> list[str]:
    counts = sorted({(run.more["n_train"], run.more["n_test"]) for run in runs})
    points = "; ".join(f"{train:,} to fit and {test:,} to test" for train, test in counts)
    return [
        "Mean log-likelihood of test points in nats (higher is better) with respect to hyperbolic "
        "volume, curvature −1: mixtures of four and eight heat kernels on H^2 and of six on H^3, "
        f"whose density is known. Each seed draws its points anew ({points}) and, of the eight, "
        "the mixture too. The floor is the true density at the same test points.",
        "",
        "“score” is the default here: Brownian motion stopped at variance-time 4, with a reference "
        "around 16 training points. “Langevin to a wrapped normal” is the published process: the "
        "reference is a wrapped normal of standard deviation ½ about the origin, β from 0.01 to 2, "
        "implicit score matching, here with walks of 100 steps (published: 1000). “pushforward” is "
        "a score model of the tangent space, wrapped by the exponential map. There are no "
        "published numbers: De Bortoli et al. 2022 show draws. At the default length each network "
        "has 120 s of wall clock, compiling included. Pictures solve densities at a "
        "looser tolerance (1e-3): specks far from all data, where no draws and no test points lie, "
        "are not to be trusted. Where a flow from there did not reach its end, the title says so.",
    ]


TABLE = Table(
    name="hyperbolic",
    title="Mixtures on hyperbolic spaces",
    measures={k: v for k, v in MEASURES.items() if k not in ("proxy_nll", "excess_mass")},
    data=tuple(LAWS),
    protocols=(PROTOCOL,),
    methods=tuple(METHODS),
    usual={"quick": ("heat-mixture", "kernel")},
    cells=_cells,
    caption=_caption,
    figures=_figures,
)
