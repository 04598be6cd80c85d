"""Closed-form kernel models against plain baselines and a score network."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold import data
from scorefold.bench.table import Record, Table
from scorefold.fitting import fit
from scorefold.manifolds import Euclidean, Manifold
from scorefold.metrics import held_out
from scorefold.models import (
    GaussianKernelModel,
    HeatKernelDensity,
    KernelModel,
    ManifoldParzen,
    Model,
    ScoreModel,
    default_noising,
)

__all__ = ["PARTS", "wpo"]

_EARTH = ("earthquake", "flood", "fire", "volcano")
_POINTS, _TEST = 1000, 4000

Make = Callable[[Manifold, Array, Array, bool, int], Model | tuple[Model, Model]]
"""A model, or the one for test points and the one for validation points."""


def _kernel(manifold: Manifold, train: Array, val: Array, grouped: bool, seed: int) -> Model:
    model = KernelModel(manifold, grouped=grouped)
    return fit(model, train, val=val, key=jax.random.key(seed), progress=False)[0]


def _joined(
    manifold: Manifold, train: Array, val: Array, grouped: bool, seed: int
) -> tuple[Model, Model]:
    """Once they have chosen, validation points carry kernels too."""
    model = KernelModel(manifold, grouped=grouped)
    fitted, _ = fit(model, train, val=val, key=jax.random.key(seed), progress=False)
    return fitted.with_centres(jnp.concatenate([train, val])), fitted


def _gaussian_kernel(
    manifold: Manifold, train: Array, val: Array, grouped: bool, seed: int
) -> Model:
    model = GaussianKernelModel(Euclidean(manifold.dim))
    return fit(model, train, val=val, key=jax.random.key(seed), steps=400, progress=False)[0]


def _one_bandwidth(manifold: Manifold, train: Array, val: Array, *_: Any) -> Model:
    return HeatKernelDensity.choose(manifold, train, val=val)


def _near_bandwidths(manifold: Manifold, train: Array, val: Array, *_: Any) -> Model:
    return HeatKernelDensity.choose(manifold, train, val=val, neighbours=[2, 3, 5, 8, 13])


def _parzen(manifold: Manifold, train: Array, val: Array, *_: Any) -> Model:
    return ManifoldParzen.choose(Euclidean(manifold.dim), train, val=val)


def _score(manifold: Manifold, train: Array, val: Array, grouped: bool, seed: int) -> Model:
    model = ScoreModel(default_noising(manifold, train))
    key = jax.random.key(seed)
    return fit(model, train, val=val, key=key, budget=120.0, progress=False)[0]


def _record(
    name: tuple[str, str, str, int], make: Make, load: Callable[[int], tuple], grouped: bool
) -> Record:
    seed = name[3]
    manifold, train, val, test = load(seed)
    started = time.perf_counter()
    made = make(manifold, train, val, grouped, seed)
    model, chosen = made if isinstance(made, tuple) else (made, made)
    jax.block_until_ready(jax.tree.leaves(model))
    seconds = time.perf_counter() - started
    more = {"n_train": len(train), "n_test": len(test)}
    return Record(*name, held_out(model, test).nll, held_out(chosen, val).nll, seconds, more)


def _registered(name: str, protocol: str, data_dir: str | None) -> Callable[[int], tuple]:
    def load(seed: int) -> tuple:
        more: dict[str, Any] = {} if data_dir is None else {"data_dir": data_dir}
        found = data.load(name, protocol=protocol, seed=seed, **more)
        return found.manifold, found.train, found.val, found.test

    return load


def _synthetic(name: str) -> Callable[[int], tuple]:
    """1000 points in all, a tenth of them for validation, and 4000 to test on."""

    def load(seed: int) -> tuple:
        where, draw = jax.random.split(jax.random.key(seed))
        law = data.target(name).make(where)
        x = law.sample(draw, _POINTS + _TEST)
        cut = _POINTS - _POINTS // 10
        return law.manifold, x[:cut], x[cut:_POINTS], x[_POINTS:]

    return load


def _rows(
    parts: tuple[str, ...], seeds: int, data_dir: str | None
) -> Iterator[tuple[tuple[str, str, str, int], Callable[[], Record]]]:
    for part in parts:
        for where, protocol, load, models in PARTS[part](data_dir):
            # Where the split lets copies into the test set, so do the folds.
            grouped = protocol not in data.LEAKING
            for model, make in models.items():
                for seed in range(seeds):
                    name = (where, protocol, model, seed)
                    yield name, functools.partial(_record, name, make, load, grouped)


def _earth(data_dir: str | None) -> Iterator[tuple]:
    for protocol in ("published", "published-rfm", "published-partitionable", "dedup", "grouped"):
        for name in _EARTH:
            yield name, protocol, _registered(name, protocol, data_dir), {"kernel": _kernel}


def _plain(data_dir: str | None) -> Iterator[tuple]:
    models = {"one bandwidth": _one_bandwidth, "near bandwidths": _near_bandwidths}
    for protocol in ("published", "dedup"):
        for name in _EARTH:
            yield name, protocol, _registered(name, protocol, data_dir), models


def _rna(data_dir: str | None) -> Iterator[tuple]:
    for protocol in ("random", "grouped"):
        yield "rna", protocol, _registered("rna", protocol, data_dir), {"kernel": _kernel}


def _flat(data_dir: str | None) -> Iterator[tuple]:
    models = {
        "kernel": _kernel, "gaussian kernel": _gaussian_kernel, "parzen": _parzen,
        "one bandwidth": _one_bandwidth,
    }  # fmt: skip
    for name in ("swiss-roll-6d", "swissroll", "moons"):
        yield name, "1000 points", _synthetic(name), models


def _with_validation(data_dir: str | None) -> Iterator[tuple]:
    models = {"kernel, validation points joined": _joined}
    for rows in (_earth(data_dir), _rna(data_dir), _flat(data_dir)):
        for where, protocol, load, _ in rows:
            yield where, protocol, load, models


def _networks(data_dir: str | None) -> Iterator[tuple]:
    for name in ("swiss-roll-6d", "swissroll", "moons"):
        yield name, "1000 points", _synthetic(name), {"score (120 s)": _score}


PARTS: dict[str, Callable[[str | None], Iterator[tuple]]] = {
    "earth": _earth,
    "plain": _plain,
    "rna": _rna,
    "flat": _flat,
    "networks": _networks,
    "joined": _with_validation,
}


def wpo(
    path: Any = None,
    *,
    parts: tuple[str, ...] = ("earth", "rna", "flat"),
    seeds: int = 5,
    data_dir: str | None = None,
) -> Table[Record]:
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
    table = Table(path, Record)
    table.run(_rows(parts, seeds, data_dir))
    return table
