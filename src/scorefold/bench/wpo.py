"""Closed-form kernel models against plain baselines and a score network."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold import data
from scorefold.bench import published
from scorefold.bench.contract import Cell, Measurement, Table, TableMeasure, TableRequest
from scorefold.bench.fitted import numbers_in, points_hash
from scorefold.data import Law
from scorefold.fitting import fit
from scorefold.manifolds import Euclidean, Manifold
from scorefold.metrics import held_out
from scorefold.models import (
    FittedKernelModel,
    GaussianKernelModel,
    HeatKernelDensity,
    KernelModel,
    ManifoldParzen,
    Model,
    ScoreModel,
    default_noising,
)

_EARTH = ("earthquake", "flood", "fire", "volcano")
_SYNTHETIC = ("swiss-roll-6d", "swissroll", "moons")
_PROTOCOLS = ("published", "published-rfm", "published-partitionable", "dedup", "grouped")
_FEW = "1000 points"
_POINTS, _TEST = 1000, 4000


class Task(NamedTuple):
    """Points of a manifold in three parts; ``grouped``: copies of a point stay in one fold."""

    manifold: Manifold
    train: Array
    val: Array
    test: Array
    seed: int
    grouped: bool = True
    law: Law | None = None


Make = Callable[[Task], Model | tuple[Model, Model]]
"""A model, or the one for test points and the one for validation points."""


def _kernel(task: Task) -> FittedKernelModel:
    model = KernelModel(task.manifold, grouped=task.grouped)
    return fit(model, task.train, val=task.val, key=jax.random.key(task.seed), progress=False)[0]


def _joined(task: Task) -> tuple[Model, Model]:
    """Once they have chosen, validation points get kernels too."""
    fitted = _kernel(task)
    return fitted.with_centres(jnp.concatenate([task.train, task.val])), fitted


def _gaussian_kernel(task: Task) -> Model:
    model, key = GaussianKernelModel(Euclidean(task.manifold.dim)), jax.random.key(task.seed)
    return fit(model, task.train, val=task.val, key=key, steps=400, progress=False)[0]


def _one_bandwidth(task: Task) -> Model:
    return HeatKernelDensity.choose(task.manifold, task.train, val=task.val)


def _near_bandwidths(task: Task) -> Model:
    near = [2, 3, 5, 8, 13]
    return HeatKernelDensity.choose(task.manifold, task.train, val=task.val, neighbours=near)


def _parzen(task: Task) -> Model:
    return ManifoldParzen.choose(Euclidean(task.manifold.dim), task.train, val=task.val)


def _score(task: Task) -> Model:
    model = ScoreModel(default_noising(task.manifold, task.train))
    key = jax.random.key(task.seed)
    return fit(model, task.train, val=task.val, key=key, budget=120.0, progress=False)[0]


METHODS: dict[str, Make] = {
    "kernel": _kernel,
    "kernel, validation points joined": _joined,
    "gaussian kernel": _gaussian_kernel,
    "parzen": _parzen,
    "one bandwidth": _one_bandwidth,
    "near bandwidths": _near_bandwidths,
    "score (120 s)": _score,
}
_EVERYWHERE = ("kernel", "kernel, validation points joined")
_FLAT = ("gaussian kernel", "parzen", "one bandwidth", "score (120 s)")
_USUAL = ("kernel", "gaussian kernel", "parzen", "one bandwidth")


def _places() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(data, protocol, the methods that are defined there)."""
    for protocol in _PROTOCOLS:
        for name in _EARTH:
            bandwidths = protocol in ("published", "dedup")
            more = ("one bandwidth", "near bandwidths") if bandwidths else ()
            yield name, protocol, (*_EVERYWHERE, *more)
    for protocol in ("random", "grouped"):
        yield "rna", protocol, _EVERYWHERE
    for name in _SYNTHETIC:
        yield name, _FEW, (*_EVERYWHERE, *_FLAT)


def _cells(request: TableRequest) -> Iterator[Cell]:
    quick = request.length == "quick"
    for name, protocol, methods in _places():
        if quick and request.data is None and name != "moons":
            continue
        for method in methods:
            for seed in range(request.seeds or (1 if quick else 5)):
                make = functools.partial(_measure, request, name, protocol, method, seed)
                yield Cell(name, protocol, method, seed, make)


def _measure(
    request: TableRequest, name: str, protocol: str, method: str, seed: int
) -> Measurement:
    task = _synthetic(name, seed) if protocol == _FEW else _registered(
        name, protocol, seed, request.data_dir
    )  # fmt: skip
    started = time.perf_counter()
    made = METHODS[method](task)
    model, chosen = made if isinstance(made, tuple) else (made, made)
    jax.block_until_ready(jax.tree.leaves(model))
    seconds = time.perf_counter() - started
    test = held_out(model, task.test)
    floors = {}
    if task.law is not None:
        floors["test_nll"] = -float(np.asarray(task.law.log_prob(task.test), np.float64).mean())
    return Measurement(
        {"test_nll": test.nll, "val_nll": held_out(chosen, task.val).nll},
        floors,
        seconds=seconds,
        nfe=test.nfe,
        parameters=numbers_in(model),
        split=points_hash(task.train, task.val, task.test),
        more={"n_train": len(task.train), "n_test": len(task.test)},
    )


def _registered(name: str, protocol: str, seed: int, data_dir: str | None) -> Task:
    found = data.load(name, protocol=protocol, seed=seed, data_dir=data_dir)
    # Where the split lets copies into the test set, so do the folds.
    grouped = protocol not in data.LEAKING
    train, val, test = map(jnp.asarray, (found.train, found.val, found.test))
    return Task(found.manifold, train, val, test, seed, grouped)


def _synthetic(name: str, seed: int) -> Task:
    """1000 points in all, a tenth of them for validation, and 4000 to test on."""
    where, draw = jax.random.split(jax.random.key(seed))
    law = data.target(name).make(where)
    x = law.sample(draw, _POINTS + _TEST)
    cut = _POINTS - _POINTS // 10
    return Task(law.manifold, x[:cut], x[cut:_POINTS], x[_POINTS:], seed, law=law)


TABLE = Table(
    name="wpo",
    title="Closed-form kernel models",
    measures={
        "test_nll": TableMeasure("test NLL (nats)"),
        "val_nll": TableMeasure("validation NLL (nats)", shown=False),
    },
    data=(*_EARTH, "rna", *_SYNTHETIC),
    protocols=(*_PROTOCOLS, "random", _FEW),
    methods=tuple(METHODS),
    cells=_cells,
    usual={"quick": _USUAL, "default": _USUAL, "full": tuple(METHODS)},
    published=published.WPO,
)
