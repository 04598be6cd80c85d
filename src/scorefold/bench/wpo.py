"""Closed-form kernel models against plain baselines and a score network."""

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold import data
from scorefold.bench.table import Likelihoods, Name, ResultTable
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
_POINTS, _TEST = 1000, 4000


class Task(NamedTuple):
    """Points of a manifold in three parts; ``grouped``: copies of a point stay in one fold."""

    manifold: Manifold
    train: Array
    val: Array
    test: Array
    seed: int
    grouped: bool = True


Make = Callable[[Task], Model | tuple[Model, Model]]
"""A model, or the one for test points and the one for validation points."""
Line = tuple[str, str, Callable[[int], Task], Mapping[str, Make]]
"""Name of the data, protocol, the task of each seed, and models by name."""


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


def _record(name: Name, make: Make, load: Callable[[int], Task]) -> Likelihoods:
    task = load(name[3])
    started = time.perf_counter()
    made = make(task)
    model, chosen = made if isinstance(made, tuple) else (made, made)
    jax.block_until_ready(jax.tree.leaves(model))
    seconds = time.perf_counter() - started
    test, val = held_out(model, task.test).nll, held_out(chosen, task.val).nll
    more = {"n_train": len(task.train), "n_test": len(task.test)}
    return Likelihoods(*name, test, val, seconds, more)


def _rows(
    parts: Sequence[str], seeds: int, data_dir: str | None
) -> Iterator[tuple[Name, Callable[[], Likelihoods]]]:
    for part in parts:
        for where, protocol, load, models in PARTS[part](data_dir):
            for model, make in models.items():
                for seed in range(seeds):
                    name = (where, protocol, model, seed)
                    yield name, functools.partial(_record, name, make, load)


def _registered(
    names: Sequence[str], protocols: Sequence[str], models: Mapping[str, Make], data_dir: str | None
) -> Iterator[Line]:
    def load(name: str, protocol: str, seed: int) -> Task:
        found = data.load(name, protocol=protocol, seed=seed, data_dir=data_dir)
        # Where the split lets copies into the test set, so do the folds.
        grouped = protocol not in data.LEAKING
        return Task(found.manifold, found.train, found.val, found.test, seed, grouped)

    for protocol in protocols:
        for name in names:
            yield name, protocol, functools.partial(load, name, protocol), models


def _synthetic(models: Mapping[str, Make], data_dir: str | None) -> Iterator[Line]:
    """1000 points in all, a tenth of them for validation, and 4000 to test on."""

    def load(name: str, seed: int) -> Task:
        where, draw = jax.random.split(jax.random.key(seed))
        law = data.target(name).make(where)
        x = law.sample(draw, _POINTS + _TEST)
        cut = _POINTS - _POINTS // 10
        return Task(law.manifold, x[:cut], x[cut:_POINTS], x[_POINTS:], seed)

    for name in ("swiss-roll-6d", "swissroll", "moons"):
        yield name, "1000 points", functools.partial(load, name), models


def _with_validation(data_dir: str | None) -> Iterator[Line]:
    for part in ("earth", "rna", "flat"):
        for where, protocol, load, _ in PARTS[part](data_dir):
            yield where, protocol, load, {"kernel, validation points joined": _joined}


PARTS: dict[str, Callable[[str | None], Iterator[Line]]] = {
    "earth": functools.partial(
        _registered, _EARTH,
        ("published", "published-rfm", "published-partitionable", "dedup", "grouped"),
        {"kernel": _kernel},
    ),
    "plain": functools.partial(
        _registered, _EARTH, ("published", "dedup"),
        {"one bandwidth": _one_bandwidth, "near bandwidths": _near_bandwidths},
    ),
    "rna": functools.partial(_registered, ("rna",), ("random", "grouped"), {"kernel": _kernel}),
    "flat": functools.partial(_synthetic, {
        "kernel": _kernel, "gaussian kernel": _gaussian_kernel, "parzen": _parzen,
        "one bandwidth": _one_bandwidth,
    }),
    "networks": functools.partial(_synthetic, {"score (120 s)": _score}),
    "joined": _with_validation,
}  # fmt: skip


def wpo(
    path: str | os.PathLike[str] | None = None,
    *,
    parts: tuple[str, ...] = ("earth", "rna", "flat"),
    seeds: int = 5,
    data_dir: str | None = None,
) -> ResultTable[Likelihoods]:
    """Test NLL of the kernel model and of what it is measured against, over seeds 0, 1, ….

    **Arguments:** ``path``: a JSON file that keeps what has been computed: a run that was
    interrupted goes on there. ``parts``: ``earth`` (four sets on the sphere, five protocols),
    ``plain`` (kernel densities there), ``rna`` (T^7), ``flat`` (1000 points of the swiss roll, the
    same in six dimensions, moons), ``networks`` (score networks on these, two minutes each),
    ``joined`` (the kernel model of all of these with kernels at validation points, once they have
    chosen, too).
    **Raises:** ``ValueError`` for an unknown part.
    """
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise ValueError(f"parts: no {', '.join(unknown)}; choices: {', '.join(PARTS)}.")
    table = ResultTable(path, Likelihoods)
    table.run(_rows(parts, seeds, data_dir))
    return table
