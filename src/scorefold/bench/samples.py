"""Draws of every model in few steps, beside fresh data."""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scorefold.bench import earth, published
from scorefold.bench.contract import (
    Cell,
    Figures,
    Length,
    Measurement,
    Result,
    Table,
    TableMeasure,
    TableRequest,
)
from scorefold.bench.fitted import Method, fit_method, load, numbers_in, split_hash
from scorefold.bench.results import FILE
from scorefold.data import Dataset
from scorefold.fitting import load as load_model
from scorefold.manifolds import Manifold, pairwise
from scorefold.metrics import mmd, sliced_wasserstein
from scorefold.models import Model

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STEPS = (1, 2, 5, 10, 100)
_EARTH = earth.DATA
_OTHERS = ("rna", "so3-mixture-16")
_DRAWS: dict[Length, int] = {"quick": 2, "default": 3, "full": 20}
_PAIRS = 20
"""Of a floor, over as many divisions of the rows as that takes."""
_PROJECTIONS = jax.random.key(0)
"""The same for all rows and floors."""


class Sampled(NamedTuple):
    """A model, and the step counts of its draws; none where draws are exact."""

    method: Method
    steps: tuple[int, ...] = _STEPS


_FLOW_MAP = Method("flow-map", trained=earth.METHODS["flow-matching"].trained)
"""Half of the time is its teacher's."""
METHODS: dict[str, Sampled] = {
    "kernel": Sampled(earth.METHODS["kernel"], ()),
    "kent": Sampled(earth.METHODS["kent"], ()),
    "score": Sampled(earth.METHODS["score"]),
    "flow-matching": Sampled(earth.METHODS["flow-matching"]),
    "pushforward": Sampled(earth.METHODS["pushforward"]),
    "moser": Sampled(earth.METHODS["moser"]),
    "continuous-flow": Sampled(earth.METHODS["continuous-flow"]),
    "flow-map": Sampled(_FLOW_MAP, (1, 2, 4)),
}
"""What is fitted, by its row. A model with few steps of its own is one line more."""


class Row(NamedTuple):
    """A line of the table: draws of ``model`` in ``steps`` steps."""

    model: str
    steps: int | None


def _rows() -> dict[str, Row]:
    found = {}
    for name, (_, steps) in METHODS.items():
        if not steps:
            found[name] = Row(name, None)
        for k in steps:
            found[f"{name}, {k} step{'s' if k > 1 else ''}"] = Row(name, k)
    return found


ROWS = _rows()
_QUICK = tuple(
    name
    for name, row in ROWS.items()
    if row.model == "kernel" or (row.model in ("score", "flow-matching") and row.steps in (1, 10))
)


class Distances(NamedTuple):
    """Of n draws to n points."""

    root_mmd: float
    mmd: float
    sliced: float


class Floor(NamedTuple):
    """Distances of fresh data to fresh data, over pairs of disjoint parts of the same sizes."""

    mean: Distances
    std: Distances
    pairs: int
    disjoint: int
    """How many of them have no rows in common: what a standard error may count."""


class Fitted(NamedTuple):
    """A model and what its fit took."""

    model: Model
    seconds: float
    compile_seconds: float | None
    stopped: str | None
    read: bool


def _cells(request: TableRequest) -> Iterator[Cell]:
    """Model by model, so that the rows of one share its fit."""
    tasks = [(name, "published") for name in _EARTH] + [(name, "random") for name in _OTHERS]
    if request.length == "quick" and request.data is None:
        tasks = [("volcano", "published")]
    if "grouped" in (request.protocols or ()):
        tasks += [(name, "grouped") for name in (*_EARTH, "rna")]
    for seed in range(request.seeds or 1):
        for data, protocol in tasks:
            for name, row in ROWS.items():
                if row.model == "kent" and data not in _EARTH:
                    continue
                make = functools.partial(_measure, request, data, protocol, row, seed)
                yield Cell(data, protocol, name, seed, make)


def _measure(request: TableRequest, data: str, protocol: str, row: Row, seed: int) -> Measurement:
    dataset = _dataset(request, data, protocol, seed)
    return draws(dataset, _fitted(request, dataset, row.model), row, _DRAWS[request.length])


def draws(dataset: Dataset, fitted: Fitted, row: Row, times: int) -> Measurement:
    """``times`` sets of as many draws as there are test points, each against the test points."""
    n, floor, scales = len(dataset.test), _floor(dataset), _scales(dataset)
    measurement = functools.partial(
        Measurement,
        floors=floor.mean._asdict(),
        seconds=fitted.seconds,
        compile_seconds=fitted.compile_seconds,
        nfe=float(row.steps or 0),
        parameters=numbers_in(fitted.model),
        stopped=fitted.stopped,
        split=split_hash(dataset),
    )
    # Models in closed form have no steps to be told of.
    told = {} if row.steps is None else {"steps": row.steps}
    started = time.perf_counter()
    try:
        drawn = np.asarray(fitted.model.sample(jax.random.key(dataset.seed + 1), times * n, **told))
    except FloatingPointError as error:
        nothing = dict.fromkeys(Distances._fields)
        return measurement(nothing, missing=dict.fromkeys(nothing, str(error)))
    drawing, test = time.perf_counter() - started, np.asarray(dataset.test)
    parts = drawn.reshape(times, n, *drawn.shape[1:])
    found = np.array([_distances(dataset.manifold, part, test, scales) for part in parts])
    errors = found.std(axis=0, ddof=1) / math.sqrt(times)
    floor_errors = np.array(floor.std) / math.sqrt(floor.disjoint)
    return measurement(
        _named(found.mean(axis=0)),
        more={
            "model": row.model,
            "steps": row.steps,
            "n": n,
            "draws": times,
            "standard_errors": _named(errors),
            "floor_standard_errors": _named(floor_errors),
            "floor_std": floor.std._asdict(),
            "floor_pairs": floor.pairs,
            "floor_pairs_disjoint": floor.disjoint,
            "kernel_scales": list(scales),
            "sampling_seconds": drawing,
            "read_from_earth": fitted.read,
        },
    )


def _named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(Distances._fields, map(float, values), strict=True))


@functools.lru_cache(maxsize=1)
def _dataset(request: TableRequest, data: str, protocol: str, seed: int) -> Dataset:
    return load(request, data, protocol, seed)


@functools.lru_cache(maxsize=1)
def _fitted(request: TableRequest, dataset: Dataset, name: str) -> Fitted:
    """From the table ``earth`` of the same folder and length where it has been made of the same
    rows, else fitted here."""
    found = _kept(request, dataset, name)
    if found is not None:
        return found
    made = fit_method(METHODS[name].method, dataset, request.length)
    compiling = made.history.compile_seconds or None
    return Fitted(made.model, made.seconds, compiling, made.history.stopped, False)


def _kept(request: TableRequest, dataset: Dataset, name: str) -> Fitted | None:
    if request.out is None or name not in earth.METHODS:
        return None
    folder = request.out.with_name(request.out.name.replace("samples", "earth"))
    wanted = dataset.name, dataset.protocol, name, dataset.seed, split_hash(dataset)
    file = folder / "models" / f"{'-'.join(map(str, wanted[:4]))}.safetensors"
    if folder == request.out or not (file.exists() and (folder / FILE).exists()):
        return None
    document = json.loads((folder / FILE).read_text(encoding="utf-8"))
    if (document["table"], document["length"]) != ("earth", request.length):
        return None
    for run in document["runs"]:
        if tuple(run[k] for k in ("data", "protocol", "method", "seed", "split")) == wanted:
            return Fitted(
                load_model(file), run["seconds"], run["compile_seconds"], run["stopped"], True
            )
    return None


@functools.lru_cache(maxsize=1)
def _floor(dataset: Dataset) -> Floor:
    """Disjoint random parts of all rows, each of the size of the test set, in pairs; of a known
    law fresh draws."""
    n, scales = len(dataset.test), _scales(dataset)
    rng = np.random.default_rng(dataset.seed)
    if dataset.law is not None:
        rows = np.asarray(dataset.law.sample(jax.random.key(2), 2 * n * _PAIRS))
    else:
        rows = np.asarray(jnp.concatenate([dataset.train, dataset.val, dataset.test]))
    disjoint = min(_PAIRS, len(rows) // (2 * n))
    found = []
    for _ in range(-(-_PAIRS // disjoint)):
        parts = rng.permutation(rows)[: 2 * n * disjoint]
        for x, y in parts.reshape(disjoint, 2, n, *rows.shape[1:]):
            found.append(_distances(dataset.manifold, x, y, scales))
    mean, std = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    return Floor(Distances(*map(float, mean)), Distances(*map(float, std)), len(found), disjoint)


def _scales(dataset: Dataset) -> tuple[float, ...]:
    """¼, ½ and 1 times the median distance of (at most 500) test points."""
    some = np.asarray(dataset.test[:500])
    apart = pairwise(dataset.manifold, some, some)
    median = float(np.median(apart[apart > 0]))
    return median / 4, median / 2, median


def _distances(
    manifold: Manifold, x: np.ndarray, y: np.ndarray, scales: tuple[float, ...]
) -> Distances:
    most = max(len(x), len(y))
    unbiased = mmd(
        manifold, x, y, key=_PROJECTIONS, scales=scales, at_most=most, permutations=1
    ).value
    sliced = sliced_wasserstein(
        manifold, x, y, key=_PROJECTIONS, at_most=most, permutations=1
    ).value
    return Distances(root_biased_mmd(manifold, x, y), unbiased, sliced)


def root_biased_mmd(manifold: Manifold, x: np.ndarray, y: np.ndarray) -> float:
    """√(mean k(x, x′) + mean k(y, y′) − 2 mean k(x, y)), over all pairs, equal ones included, with
    k = exp(−d²), d the geodesic distance: what tables of one-step generation print. k is not
    positive definite on curved manifolds and tori; a negative sum has the root 0."""

    def mean(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-np.square(pairwise(manifold, a, b))).mean())

    return math.sqrt(max(mean(x, x) + mean(y, y) - 2.0 * mean(x, y), 0.0))


def _caption(runs: Sequence[Result]) -> list[str]:
    measured = [run for run in runs if "n" in run.more]
    if not measured:
        return []
    times = measured[0].more["draws"]
    lines = [
        "Distances of n draws of a model to the n test points, mean of "
        f"{times} sets of draws. √MMD is the published measure: biased, kernel exp(−d²), d the "
        "geodesic distance, and n the size of the test set. It has a floor that falls like 1/√n: "
        "n fresh points of the data have it too, and a number below it is luck, or n was larger. "
        "The unbiased MMD² has mean 0 for fresh data, so that it may be negative: heat kernels of "
        "¼, ½ and 1 times the median distance. Sliced W₁ in radians. Floors: disjoint random "
        "parts of all rows (of a known law, fresh draws), each of n points, part against part.",
        "Standard errors: of a floor over its pairs, as if only those without a row in common "
        "counted; of a row over its sets of draws (the largest of all rows). Both leave out that "
        "there is one test set.",
    ]
    table = [
        "| data | protocol | n | pairs | floor of √MMD | of MMD² | of sliced W₁ | largest standard "
        "error of a row: √MMD | MMD² | sliced W₁ |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for own in _by_task(measured).values():
        first = own[0]
        floors = [
            f"{first.floors[k]:.4f} ± {first.more['floor_standard_errors'][k]:.4f}"
            for k in Distances._fields
        ]
        largest = [
            f"{max(run.more['standard_errors'][k] for run in own):.4f}" for k in Distances._fields
        ]
        cells = [first.data, first.protocol, str(first.more["n"]), str(first.more["floor_pairs"])]
        table.append(f"| {' | '.join([*cells, *floors, *largest])} |")
    return ["\n\n".join([*lines, "\n".join(table), *_at_the_floor(measured)])]


def _at_the_floor(runs: Sequence[Result]) -> list[str]:
    """Which published numbers fresh data would have."""
    found = []
    for (protocol, data), own in _by_task(runs).items():
        floor, spread = own[0].floors["root_mmd"], own[0].more["floor_std"]["root_mmd"]
        rows = [row for row in published.SAMPLES if row.protocol == protocol]
        values = {row.method: float(row.cells[data]) for row in rows if data in row.cells}
        names = [f"{m} {v:.3f}" for m, v in values.items() if v <= floor + 2.0 * spread]
        if names:
            found.append(f"{data} ({floor:.3f} ± {spread:.3f}): {', '.join(names)}")
    if not found:
        return []
    return [
        "Published numbers no larger than the floor and two standard deviations of a pair of "
        f"fresh parts: {'; '.join(found)}."
    ]


def _by_task(runs: Sequence[Result]) -> Mapping[tuple[str, str], list[Result]]:
    found: dict[tuple[str, str], list[Result]] = {}
    for run in runs:
        found.setdefault((run.protocol, run.data), []).append(run)
    return found


def _figures(runs: Sequence[Result], folder: Path) -> Figures:
    for protocol in dict.fromkeys(run.protocol for run in runs):
        own = [run for run in runs if run.protocol == protocol and "n" in run.more]
        if own:
            yield f"steps-{protocol}", _steps_figure(own, protocol)


def _steps_figure(runs: Sequence[Result], protocol: str) -> Figure:
    """√MMD against steps, a panel for each data set; grey: fresh data, one standard deviation of
    a pair to either side."""
    from scorefold.report.panels import new_figure

    tasks = _by_task(runs)
    figure = new_figure(3.6 * len(tasks) + 1.6, 3.8)
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    handles: dict[str, Artist] = {}
    for axes, ((_, data), own) in zip(panels, tasks.items(), strict=True):
        _panel(axes, own)
        found, names = axes.get_legend_handles_labels()
        handles |= dict(zip(names, found, strict=True))
        axes.set_title(f"{data}, n = {own[0].more['n']}", fontsize=10)
        axes.set_xlabel("steps")
    panels[0].set_ylabel("biased √MMD, kernel exp(−d²)")
    names = list(handles)
    figure.legend(
        list(handles.values()), names, loc="outside right center", fontsize=8, frameon=False
    )
    figure.suptitle(f"Draws in few steps, protocol {protocol}", fontsize=10)
    return figure


def _panel(axes: Axes, runs: Sequence[Result]) -> None:
    floor, spread = runs[0].floors["root_mmd"], runs[0].more["floor_std"]["root_mmd"]
    axes.axhspan(floor - spread, floor + spread, color="0.85", lw=0, label="fresh data ± one std")
    axes.axhline(floor, color="0.6", lw=0.8)
    for k, name in enumerate(METHODS):
        own = [run for run in runs if run.more["model"] == name and run.seed == runs[0].seed]
        pairs = [(run, v) for run in own if (v := run.values["root_mmd"]) is not None]
        if not pairs:
            continue
        value = [v for _, v in pairs]
        if own[0].more["steps"] is None:
            axes.axhline(value[0], ls="--", color=f"C{k}", lw=1.2, label=f"{name} (exact draws)")
            continue
        steps = [run.more["steps"] for run, _ in pairs]
        error = [run.more["standard_errors"]["root_mmd"] for run, _ in pairs]
        axes.errorbar(
            steps, value, error, marker="os^vDP*X"[k % 8], ms=4, color=f"C{k}", lw=1.2, label=name
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(_STEPS, [str(k) for k in _STEPS])
    axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    axes.tick_params(axis="y", which="both", labelsize=7)
    axes.grid(color="0.92")
    axes.set_axisbelow(True)


TABLE = Table(
    name="samples",
    title="Draws in few steps",
    measures={
        "root_mmd": TableMeasure("biased √MMD, kernel exp(−d²)"),
        "mmd": TableMeasure("unbiased MMD², heat kernels", digits=4),
        "sliced": TableMeasure("sliced W₁ (radians)", digits=4),
    },
    data=(*_EARTH, *_OTHERS),
    protocols=("published", "random", "grouped"),
    methods=tuple(ROWS),
    cells=_cells,
    usual={"quick": _QUICK},
    published=published.SAMPLES,
    caption=_caption,
    figures=_figures,
)
