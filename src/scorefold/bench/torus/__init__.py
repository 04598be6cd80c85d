"""The scaling figure of De Bortoli et al. 2022 (tori of many dimensions), and torsion angles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from scorefold.bench import published
from scorefold.bench.contract import Cell, Figures, Result, Table, TableMeasure, TableRequest
from scorefold.bench.torus import angles, wrapped
from scorefold.bench.torus.figure import by_dimension, scaling

_DATA = (*wrapped.NAMES, *angles.NAMES)


def _cells(request: TableRequest) -> Iterator[Cell]:
    yield from wrapped.cells(request)
    yield from angles.cells(request, _DATA)


def _caption(runs: Sequence[Result]) -> list[str]:
    own = [run for run in runs if run.protocol == wrapped.PROTOCOL]
    lines = []
    if own:
        lines.append(
            "torus-d: one wrapped normal law of standard deviation 0.2 on T^d, drawn here; its "
            f"mean log density is {wrapped.TRUTH:.4f} nats a dimension, and the floor is the law "
            "itself on the same test points. All networks take batches of "
            f"{wrapped.BATCH} points and have the same sizes at every d. Up to d = "
            f"{wrapped.EXACT} the divergence of a likelihood is exact, beyond it is Hutchinson's "
            "estimate with one direction a point: unbiased, its noise is part of "
            "`standard_error` in `results.json`."
        )
        lines.append(
            "**What score starts from.** On a torus the score of a `ScoreModel` starts from that "
            "of one wrapped normal law with the circular moments of the training points, and this "
            "target is such a law: these rows say that learning does no harm and what a step "
            "costs, not how well a network finds a law. The row *score, no start* is the same "
            "network without it." + _first(own)
        )
        lines.append(
            "Memory is what the compiled loss and gradient of a batch take: arguments, results "
            "and temporary arrays, without the two moments of the optimiser." + _flat(own)
        )
    torsions = {run.data: run.more["d"] for run in runs if run.protocol != wrapped.PROTOCOL}
    if torsions:
        sets = ", ".join(f"{angles.as_data(name)} (T^{d})" for name, d in torsions.items())
        lines.append(
            f"{sets}: mean NLL of test points in nats with respect to radians. Random: rows are "
            "split one by one, so that those of one structure are in all parts; grouped: "
            "structures stay whole."
        )
    return ["\n\n".join(lines)]


def _first(runs: Sequence[Result]) -> str:
    started = [r for r in runs if r.method.startswith("score") and r.method != "score, no start"]
    known = [r.more["best_step"] for r in started if "best_step" in r.more]
    if not known:
        return ""
    return f" In {known.count(0)} of {len(known)} runs the best step on validation was the start."


def _flat(runs: Sequence[Result]) -> str:
    found = wrapped.flatness(by_dimension(runs, "score", "seconds_per_step"))
    shares = ", ".join(f"{r:.2f} at d = {d}" for d, r in found.items() if int(d) > 10)
    if not shares:
        return ""
    return (
        f" Seconds a step and dimension of *score*, relative to d = 10: {shares}. (Below 1: the "
        "hidden layers cost the same at every d, and only the first and the last grow with d.)"
    )


def _figures(runs: Sequence[Result], folder: Path) -> Figures:
    if any(run.protocol == wrapped.PROTOCOL and run.values.get("memory") for run in runs):
        yield "scaling", scaling(runs)


TABLE = Table(
    name="torus",
    title="Tori of many dimensions, and torsion angles",
    measures={
        "per_dimension": TableMeasure("test log-likelihood a dimension (nats)", digits=4),
        "shortfall": TableMeasure("shortfall from the truth (%)", digits=2),
        "test_nll": TableMeasure("test NLL (nats)"),
        "val_nll": TableMeasure("validation NLL (nats)", shown=False),
        "seconds_per_step": TableMeasure("seconds a step", digits=5),
        "memory": TableMeasure("memory of a step (MiB)", digits=0),
        "proxy_nll": TableMeasure(
            "NLL of the formula that a Moser flow is trained by (no density)"
        ),
        "excess_mass": TableMeasure("mass of that formula beyond 1"),
    },
    data=_DATA,
    protocols=(wrapped.PROTOCOL, *angles.PROTOCOLS),
    methods=tuple(dict.fromkeys((*wrapped.METHODS, *angles.METHODS))),
    cells=_cells,
    published=published.TORUS,
    caption=_caption,
    figures=_figures,
    own_data=True,
)
