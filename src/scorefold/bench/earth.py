"""Table 3 and Figure 2 of De Bortoli et al. 2022: events on the Earth, all models."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from scorefold._types import Document
from scorefold.bench import published
from scorefold.bench.contract import (
    Cell,
    Figures,
    Measurement,
    Result,
    Table,
    TableMeasure,
    TableRequest,
)
from scorefold.bench.curves import learning_curves
from scorefold.bench.fitted import Method, likelihood, load, seeds_of, trained
from scorefold.bench.maps import density_maps, kept_density
from scorefold.models import Model

DATA = ("volcano", "earthquake", "flood", "fire")
_QUICK = (("airports", "grouped"), ("flood", "published"))
_SEEDS = {"published": 3, "grouped": 1}


def _mixture(name: str) -> Method:
    """Validation points choose the number of components."""
    few, many = (25, 50), (25, 50, 100, 200, 400)
    return Method(name, {"components": many}, at_quick={"components": few})


_trained = functools.partial(trained, 180.0, {"steps": 40})
METHODS: dict[str, Method] = {
    "kernel, joined": Method("kernel", joined=True),
    "kernel": Method("kernel"),
    "kde": Method("kde"),
    "kent": _mixture("kent"),
    "vmf": _mixture("vmf"),
    "heat-mixture": _mixture("heat-mixture"),
    "score": Method("score", trained=_trained(steps=600_000, batch_size=512)),
    "flow-matching": Method("flow-matching", trained=_trained(steps=1_000_000)),
    "pushforward": Method("pushforward", trained=_trained(steps=600_000, batch_size=512)),
    "moser": Method("moser", trained=_trained(steps=600_000)),
    "continuous-flow": Method("continuous-flow", trained=_trained(steps=100_000)),
}


def _cells(request: TableRequest) -> Iterator[Cell]:
    """Seed by seed, so that a table that is not finished has some of everything."""
    asked = request.data or DATA
    tasks = [(name, protocol) for protocol in _SEEDS for name in asked]
    if request.length == "quick" and request.data is None:
        tasks = list(_QUICK)
    tasks = [("airports", "grouped") if name == "airports" else (name, p) for name, p in tasks]
    usual = {p: 1 if request.length == "quick" else n for p, n in _SEEDS.items()}
    for seed in seeds_of(request, max(usual.values())):
        for method in METHODS:
            for name, protocol in dict.fromkeys(tasks):
                if seed in seeds_of(request, usual[protocol]):
                    make = functools.partial(_measure, request, name, protocol, method, seed)
                    yield Cell(name, protocol, method, seed, make)


def _measure(
    request: TableRequest, name: str, protocol: str, method: str, seed: int
) -> Measurement:
    dataset = load(request, name, protocol, seed)
    file = f"{name}-{protocol}-{method.replace(', ', '-')}-{seed}"
    keep = None if request.out is None else request.out / "models" / f"{file}.safetensors"

    def more(model: Model) -> Document:
        if seed == 0 and request.out is not None:
            kept_density(request.out / "maps" / f"{file}.npy", model)
        return {}

    return likelihood(METHODS[method], dataset, request.length, more=more, keep=keep)


def _caption(runs: Sequence[Result]) -> list[str]:
    lines = [
        "Mean negative log likelihood of test points in nats, with respect to area on the unit "
        "sphere; the uniform law has 2.531. Each network has the same wall clock, compiling "
        "included; what is returned is the average of its weights with the best validation NLL."
    ]
    for protocol in _SEEDS:
        shares = {}
        for name in DATA:
            found = [r.more["leak"] for r in runs if (r.data, r.protocol) == (name, protocol)]
            if found:
                shares[name] = f"{name} {100 * statistics.fmean(found):.1f} %"
        if shares:
            lines.append(
                f"Test points that are also training points, protocol {protocol}: "
                f"{', '.join(shares.values())}."
            )
    lines.append(
        "A method that repeats training points is paid for it where points leak: on volcanoes of "
        "the published protocol the likelihood has no bound."
    )
    return lines


def _figures(runs: Sequence[Result], folder: Path) -> Figures:
    for name in dict.fromkeys(run.data for run in runs):
        for protocol in dict.fromkeys(run.protocol for run in runs if run.data == name):
            own = [r for r in runs if (r.data, r.protocol, r.seed) == (name, protocol, 0)]
            fields = {}
            for run in own:
                file = f"{name}-{protocol}-{run.method.replace(', ', '-')}-0.npy"
                if (folder / "maps" / file).exists():
                    fields[run.method] = np.load(folder / "maps" / file, allow_pickle=False)
            if len(fields) == len(own):  # else an older picture shows more
                yield f"map-{name}-{protocol}", density_maps(fields, f"{name}, {protocol}")
            curved = {r.method: r for r in own if len(r.more.get("curve", ())) > 2}
            if curved:
                yield (
                    f"curves-{name}-{protocol}",
                    learning_curves(curved, f"{name}, {protocol}", "validation NLL (nats)"),
                )


TABLE = Table(
    name="earth",
    title="Events on the Earth",
    measures={
        "test_nll": TableMeasure("test NLL (nats)"),
        "val_nll": TableMeasure("validation NLL (nats)", shown=False),
        "proxy_nll": TableMeasure(
            "NLL of the formula that a Moser flow is trained by (no density)"
        ),
        "excess_mass": TableMeasure("mass of that formula beyond 1"),
    },
    data=(*DATA, "airports"),
    protocols=tuple(_SEEDS),
    methods=tuple(METHODS),
    cells=_cells,
    published=published.EARTH,
    caption=_caption,
    figures=_figures,
)
