"""One wrapped normal law on T^d, d from 1 to 1000: likelihood, seconds a step and memory."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._fixed import trainable
from scorefold._types import Document, Key
from scorefold.bench.contract import Cell, Length, Measurement, TableRequest
from scorefold.bench.fitted import course, numbers_in, points_hash, seeds_of
from scorefold.data import HeatMixture, target
from scorefold.fields import NetworkSpec
from scorefold.fitting import Description, fit
from scorefold.losses import Denoising, Implicit, Loss, Sliced
from scorefold.models import (
    FlowMatching,
    KernelModel,
    Model,
    MoserFlow,
    ScoreModel,
    default_noising,
)
from scorefold.models.flows._base import OdeModel
from scorefold.noising import Brownian

PROTOCOL = "wrapped normal"
DIMENSIONS = (1, 2, 5, 10, 20, 50, 100, 200, 1000)
NAMES = {f"torus-{d}": d for d in DIMENSIONS}
VARIANCE = 0.04
TRUTH = -0.5 * math.log(2.0 * math.pi * math.e * VARIANCE)
"""Mean log density of the law a dimension, in nats (what lies beyond ±π is below 1e-50)."""
EXACT = 20
"""Dimensions to which the divergence of a likelihood is exact."""
BATCH = 512
_SIZES: Mapping[Length, tuple[int, int, int]] = {
    "quick": (2000, 128, 128), "default": (16_000, 512, 512), "full": (100_000, 512, 1024),
}  # fmt: skip
"""Draws to train, to validate and to test."""
_NETWORKS: Mapping[Length, NetworkSpec] = {
    "quick": NetworkSpec(width=32, depth=1, fourier=16),
    "default": NetworkSpec(),
    "full": NetworkSpec(width=512, depth=3),
}
_QUICK: Mapping[str, tuple[int, ...]] = {"score": (2, 50), "flow-matching": (2,)}
_SEEDS, _SEVERAL, _SMALL = 3, ("score", "flow-matching"), 20
"""More than one seed for these methods up to this dimension."""
_MEMORY_SHARE = 2.0**-20


class Setup(NamedTuple):
    """What a method is given: training points, their law for its manifold, and a network."""

    points: Array
    law: HeatMixture
    network: NetworkSpec


def _score(setup: Setup, loss: Loss) -> ScoreModel:
    noising = default_noising(setup.law.manifold, setup.points)
    return ScoreModel(noising, loss=loss, network=setup.network)


def _no_start(setup: Setup) -> ScoreModel:
    usual = _score(setup, Denoising())
    return dataclasses.replace(usual, noising=Brownian(setup.law.manifold, usual.noising.schedule))


METHODS: dict[str, Callable[[Setup], Description]] = {
    "score": lambda s: _score(s, Denoising()),
    "score, no start": _no_start,
    "score, implicit": lambda s: _score(s, Implicit()),
    "score, hutchinson": lambda s: _score(s, Implicit(divergence="hutchinson")),
    "score, sliced": lambda s: _score(s, Sliced()),
    "flow-matching": lambda s: FlowMatching(s.law.manifold, network=s.network),
    "moser": lambda s: MoserFlow(s.law.manifold, network=s.network),
    "kernel": lambda s: KernelModel(s.law.manifold),
}
_LIMITS: Mapping[str, tuple[int, str]] = {
    "score, implicit": (100, "a step has d passes through the network: hutchinson has one"),
    "moser": (20, "d passes a step; and uniform points, which its mass is held by, no longer come "
              "near the data: a share of (√(2πe)·0.2/2π)^d"),
    "kernel": (10, "kernels at training points cannot fill so many dimensions: the number needed "
               "grows exponentially with d"),
}  # fmt: skip
"""The largest dimension of a method, and why it goes no further."""


def cells(request: TableRequest) -> Iterator[Cell]:
    """From few dimensions to many, seed by seed."""
    quick = request.length == "quick"
    for seed in seeds_of(request, 1 if quick else _SEEDS):
        for name, d in NAMES.items():
            for method in METHODS:
                several = method in _SEVERAL and d <= _SMALL
                if seed > 0 and request.seeds is None and not several:
                    continue
                asked = request.data is not None and request.methods is not None
                if quick and not asked and d not in _QUICK.get(method, ()):
                    continue
                make = functools.partial(measure, method, d, seed, request.length)
                yield Cell(name, PROTOCOL, method, seed, make)


def measure(method: str, d: int, seed: int, length: Length) -> Measurement:
    """A fit, and what its steps cost."""
    limit, why = _LIMITS.get(method, (d, ""))
    if d > limit:
        names = ("per_dimension", "test_nll", "seconds_per_step")
        return Measurement(dict.fromkeys(names), missing=dict.fromkeys(names, why))
    law_key, draw_key, fit_key, probe_key = jax.random.split(jax.random.key(seed), 4)
    law = target(f"torus-{d}").make(law_key)
    assert isinstance(law, HeatMixture)
    sizes = _SIZES[length]
    points = np.asarray(law.sample(draw_key, sum(sizes)))
    train, val, test = np.split(points, np.cumsum(sizes[:2]))
    setup = Setup(jnp.asarray(train), law, _NETWORKS[length])
    description = METHODS[method](setup)
    steps, budget, batch = (None, None, None) if method == "kernel" else _trained(length, d)
    started = time.perf_counter()
    model, history = fit(
        description, train, val=val, key=fit_key, steps=steps, budget=budget, batch_size=batch,
        progress=False,
    )  # fmt: skip
    jax.block_until_ready(jax.tree.leaves(eqx.filter(model, eqx.is_array)))
    seconds = time.perf_counter() - started
    found, nfe = _log_prob(model, test, probe_key)
    held, _ = _log_prob(model, val, probe_key)
    truth = np.asarray(law.log_prob(test), np.float64)
    apart = truth - found
    error = lambda values: float(values.std(ddof=1) / math.sqrt(len(values)) / d)  # noqa: E731
    values: dict[str, float | None] = {
        "per_dimension": float(found.mean()) / d,
        "shortfall": 100.0 * float(apart.mean()) / d / TRUTH,
        "test_nll": -float(found.mean()),
        "val_nll": -float(held.mean()),
    }
    missing: dict[str, str] = {}
    if method != "kernel":
        values["seconds_per_step"] = history.train_seconds / max(history.steps, 1)
        values["memory"] = step_memory(description, train)
        if values["memory"] is None:
            missing["memory"] = "the compiler of this device does not say"
    floor = float(truth.mean())
    return Measurement(
        values,
        {"per_dimension": floor / d, "shortfall": 0.0, "test_nll": -floor},
        seconds=seconds,
        compile_seconds=history.compile_seconds or None,
        nfe=nfe,
        parameters=numbers_in(model),
        stopped=history.stopped,
        split=points_hash(jnp.asarray(train), jnp.asarray(val), jnp.asarray(test)),
        missing=missing,
        more={
            **course(history),
            "best_step": history.best_step,
            "d": d,
            "divergence": _divergence(model, d),
            "standard_error": error(found),
            "truth_standard_error": error(truth),
            "shortfall_standard_error": 100.0 * error(apart) / TRUTH,
        },
    )


def _trained(length: Length, d: int) -> tuple[int | None, float | None, int]:
    """Steps, seconds and points in a batch."""
    if length == "full":
        return 50_000, None, BATCH
    if length == "quick":
        return 200, None, BATCH
    return None, 30.0 if d <= _SMALL else 60.0, BATCH


def _divergence(model: Model, d: int) -> str:
    if not isinstance(model, OdeModel):
        return "none"
    return "exact" if d <= EXACT else "hutchinson"


def _log_prob(model: Model, x: np.ndarray, key: Key) -> tuple[np.ndarray, float]:
    """Log densities in nats and evaluations of the network, with Hutchinson's divergence beyond
    ``EXACT`` dimensions."""
    if _divergence(model, x.shape[1]) != "hutchinson":
        value, nfe = model.log_prob_and_nfe(x)
        return np.asarray(value, np.float64), nfe
    assert hasattr(model, "density")
    found = model.density(x, divergence="hutchinson", key=key)
    return np.asarray(found.log_prob, np.float64), float(np.mean(found.nfe))


def step_memory(description: Description, data: np.ndarray) -> float | None:
    """Mebibytes of the compiled loss and gradient of a batch: arguments, results and temporary
    arrays. None where the compiler does not say."""
    trainer = description.trainer(jax.random.key(0), data)
    params, rest = eqx.partition(trainer, trainable(trainer))
    batch = jax.tree.map(lambda a: a[:BATCH], trainer.examples(data))

    def loss(params: PyTree, x: PyTree, key: Key) -> Array:
        return jnp.mean(eqx.combine(params, rest).batch_loss(x, key))

    program = jax.jit(jax.value_and_grad(loss)).lower(params, batch, jax.random.key(0)).compile()
    found = program.memory_analysis()
    if found is None:
        return None
    parts = found.temp_size_in_bytes, found.argument_size_in_bytes, found.output_size_in_bytes
    return float(sum(parts)) * _MEMORY_SHARE


def flatness(seconds: Mapping[int, float]) -> Document:
    """Seconds a step a dimension for each d, relative to d = 10."""
    if 10 not in seconds:
        return {}
    return {str(d): (s / d) / (seconds[10] / 10) for d, s in sorted(seconds.items())}
