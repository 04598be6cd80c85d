"""Points drawn from a law of known density, and likelihoods beside the true one."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scorefold._types import Key
from scorefold.bench.contract import Cell, Length, Measurement, TableMeasure, TableRequest
from scorefold.bench.fitted import points_hash, seeds_of
from scorefold.data import Dataset, Law, Split, plain_coordinates

PROTOCOL = "drawn"


class Sizes(NamedTuple):
    """Points that are drawn to fit, to choose and to test."""

    train: int
    val: int
    test: int


SIZES: Mapping[Length, Sizes] = {
    "quick": Sizes(4_000, 500, 2_000),
    "default": Sizes(20_000, 2_000, 10_000),
    "full": Sizes(100_000, 10_000, 20_000),
}
"""Of both tables of mixtures."""


MEASURES = {
    "test_ll": TableMeasure("mean log-likelihood of test points (nats)"),
    "gap": TableMeasure("nats below the truth at the same points"),
    "evaluations": TableMeasure(
        "network evaluations of a likelihood, in thousands (0: closed form)", digits=2
    ),
    "test_nll": TableMeasure("test NLL (nats)", shown=False),
    "val_nll": TableMeasure("validation NLL (nats)", shown=False),
    "proxy_nll": TableMeasure("NLL of the formula of a Moser flow (nats)", shown=False),
    "excess_mass": TableMeasure("its mass beyond 1", shown=False),
}
"""What ``beside_truth`` measures."""


def cells(
    request: TableRequest,
    laws: Sequence[str],
    methods: Iterable[str],
    seeds: Mapping[str, int],
    measure: Callable[[TableRequest, str, str, int], Measurement],
) -> Iterator[Cell]:
    """Every method on every law; on the first one alone at the quick length. ``seeds``: of methods
    with more than one. Seed by seed, so that a table that is not finished has some of everything.
    ``measure`` is told the request, the law, the method and the seed."""
    quick = request.length == "quick"
    asked = request.data or (laws[:1] if quick else laws)
    usual = {method: 1 if quick else seeds.get(method, 1) for method in methods}
    for seed in seeds_of(request, max(usual.values())):
        for method in usual:
            for name in asked:
                if seed in seeds_of(request, usual[method]):
                    make = functools.partial(measure, request, name, method, seed)
                    yield Cell(name, PROTOCOL, method, seed, make)


def drawn(name: str, law: Law, key: Key, sizes: Sizes, seed: int) -> Dataset:
    """Independent draws of a law, in three parts."""
    points = law.sample(key, sum(sizes))
    rows = np.arange(len(points))
    cuts = (sizes.train, sizes.train + sizes.val)
    train, val, test = (points[part] for part in np.split(rows, cuts))
    return Dataset(
        name=name,
        title=name,
        manifold=law.manifold,
        train=train,
        val=val,
        test=test,
        protocol="random",
        seed=seed,
        indices=Split(*np.split(rows, cuts)),
        values=np.asarray(points, np.float64).reshape(len(points), -1),
        coordinates=plain_coordinates(law.manifold),
        labels=rows,
        law=law,
    )


def beside_truth(found: Measurement, dataset: Dataset) -> Measurement:
    """Log-likelihoods of a model beside those of the law at the same test points: what a perfect
    model has. The gap estimates the Kullback–Leibler divergence from the law to the model."""
    assert dataset.law is not None
    nll = found.values["test_nll"]
    true = -float(np.asarray(dataset.law.log_prob(dataset.test), np.float64).mean())
    true_val = -float(np.asarray(dataset.law.log_prob(dataset.val), np.float64).mean())
    values = {
        **found.values,
        "test_ll": None if nll is None else -nll,
        "gap": None if nll is None else nll - true,
        "evaluations": (found.nfe or 0.0) / 1000.0,
    }
    missing = dict(found.missing)
    if nll is None:
        missing |= dict.fromkeys(("test_ll", "gap"), found.missing["test_nll"])
    return dataclasses.replace(
        found,
        values=values,
        floors={"test_ll": -true, "gap": 0.0, "test_nll": true, "val_nll": true_val},
        missing=missing,
        split=points_hash(dataset.train, dataset.val, dataset.test),
    )
