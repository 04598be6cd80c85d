"""Which share of the machine's matrix products training reaches, and where the rest goes.

    python benchmarks/training_profile.py

A step of training of B rows on layers of sizes n₀, …, n_L multiplies and adds

    2B (3 Σ_i n_i n_{i+1} − n₀ n₁) flops:

forward, the gradient of the weights, and that of the inputs, which the first layer needs not. The
peak is what the same products reach alone, in one program without activations; beside it stands
the rate of one large product. Four programs contain each other: these products; the network with
its activations, forward and backward; the loss and its gradient, with noise, heat kernels and
features; a step of ``fit``, with Adam and averages. They run in turn, and of each the best counts.
Seconds are those of the clock and of the processor: other programs on the machine slow the first,
and hardly matter to the second, which counts what runs on one core and on all alike.

- ``original``: the network of De Bortoli et al. 2022 (5 × 512, sine, divergence-free output);
- ``default``: what ``ScoreModel(default_noising(...))`` trains (4 × 256, 128 frequencies).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import scorefold as sf
from scorefold._fixed import trainable
from scorefold.fields import KillingOutput, sine

OUT = Path(__file__).parent / "results" / "training_profile.json"
BATCH, SEED = 512, 0
NETWORKS = ("original", "default")


def points(n: int = 5000) -> np.ndarray:
    """Of S², in a band around one of them."""
    x = np.random.default_rng(SEED).normal(size=(n, 3)) * 0.5 + [0.0, 0.0, 1.0]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def description(name: str, x: np.ndarray, products: str = "float32") -> sf.ScoreModel:
    manifold = sf.Sphere(2)
    if name == "default":
        spec = sf.NetworkSpec(products=products)  # type: ignore[arg-type]
        return sf.ScoreModel(sf.default_noising(manifold, x), network=spec)
    spec = sf.NetworkSpec(
        width=512, depth=5, fourier=0, time_features=0, activation=sine,
        products=products,  # type: ignore[arg-type]
    )  # fmt: skip
    noising = sf.Brownian(manifold, sf.Linear(1e-3, 5.0))
    return sf.ScoreModel(noising, times=sf.Uniform(), network=spec, output=KillingOutput())


def sizes(trainer: Any) -> list[int]:
    """n₀, …, n_L of the network that is trained."""
    layers = trainer.field.network.layers
    return [layers[0].weight.shape[1], *(layer.weight.shape[0] for layer in layers)]


def flops(n: Sequence[int], batch: int) -> float:
    each = [a * b for a, b in itertools.pairwise(n)]
    return 2.0 * batch * (3 * sum(each) - each[0])


def products_alone(n: Sequence[int], batch: int) -> Callable[[], Any]:
    """The products of a step and nothing else; the result is what the last ones depend on."""
    keys = jax.random.split(jax.random.key(SEED), len(n) + 1)
    shapes = zip(keys[2:], n[:-1], n[1:], strict=True)
    weights = [jax.random.normal(k, (b, a), jnp.float32) / a**0.5 for k, a, b in shapes]
    z = jax.random.normal(keys[0], (batch, n[0]), jnp.float32)
    cotangent = jax.random.normal(keys[1], (batch, n[-1]), jnp.float32)

    def forward(weights: list) -> Any:
        h = z
        for w in weights:
            h = h @ w.T
        return h

    @jax.jit
    def both(weights: list) -> Any:
        return jax.vjp(forward, weights)[1](cotangent)

    return lambda: both(weights)


def network_alone(trainer: Any, n: Sequence[int], batch: int) -> Callable[[], Any]:
    """The layers with their activations, forward and backward, from features that are given."""
    network = trainer.field.network
    first, second = jax.random.split(jax.random.key(SEED))
    z = jax.random.normal(first, (batch, n[0]), jnp.float32)
    cotangent = jax.random.normal(second, (batch, n[-1]), jnp.float32)

    def one(layers: list, z: Any) -> Any:
        for layer in layers[:-1]:
            z = network.activation(layer(z))
        return layers[-1](z)

    @eqx.filter_jit
    def both(layers: list) -> Any:
        arrays, rest = eqx.partition(layers, eqx.is_array)
        forward = lambda a: jax.vmap(lambda row: one(eqx.combine(a, rest), row))(z)  # noqa: E731
        return jax.vjp(forward, arrays)[1](cotangent)

    return lambda: both(network.layers)


def loss_alone(trainer: Any, x: np.ndarray, batch: int) -> Callable[[], Any]:
    """The mean loss of a batch and its gradient."""
    rows = jax.tree.map(lambda a: a[:batch], trainer.examples(x))
    params, rest = eqx.partition(trainer, trainable(trainer))
    key = jax.random.key(SEED)

    @eqx.filter_jit
    def both(params: Any) -> Any:
        loss = lambda p: jnp.mean(eqx.combine(p, rest).batch_loss(rows, key))  # noqa: E731
        return jax.value_and_grad(loss)(params)

    return lambda: both(params)


def large(size: int = 2048) -> tuple[Callable[[], Any], float]:
    """One product of square matrices, and its flops."""
    a = jax.random.normal(jax.random.key(SEED), (size, size), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    return lambda: product(a), 2.0 * size**3


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    since, used = time.perf_counter(), time.process_time()
    jax.block_until_ready(call())
    return time.perf_counter() - since, time.process_time() - used


def of_a_call(call: Callable[[], Any], calls: int = 20) -> tuple[float, float]:
    """The best of some calls after a first one: by the clock, and by the processor."""
    timed(call)
    clock, processor = zip(*(timed(call) for _ in range(calls)), strict=True)
    return min(clock), min(processor)


def of_a_step(described: sf.ScoreModel, x: np.ndarray, steps: int) -> tuple[float, float]:
    """What ``steps`` more steps of ``fit`` add, by the processor; by the clock, what it says."""

    def fit(count: int) -> sf.fitting.History:
        key = jax.random.key(SEED)
        return sf.fit(described, x, key=key, steps=count, batch_size=BATCH, progress=False)[1]

    fit(5)  # compiles
    since = time.process_time()
    fit(5)
    short = time.process_time() - since
    since = time.process_time()
    history = fit(5 + steps)
    long = time.process_time() - since
    return history.train_seconds / history.steps, (long - short) / steps


def profile(name: str, rounds: int, steps: int) -> dict[str, Any]:
    x = points()
    described = description(name, x)
    trainer = described.trainer(jax.random.key(SEED), x)
    n = sizes(trainer)
    product, large_flops = large()
    calls = {
        "products": products_alone(n, BATCH),
        "network": network_alone(trainer, n, BATCH),
        "loss": loss_alone(trainer, x, BATCH),
    }
    found: dict[str, list[tuple[float, float]]] = {k: [] for k in ("large product", *calls, "step")}
    for _ in range(rounds):
        found["large product"].append(of_a_call(product, 3))
        for key, call in calls.items():
            found[key].append(of_a_call(call))
        found["step"].append(of_a_step(described, x, steps))
    work = flops(n, BATCH)
    document: dict[str, Any] = {"layers": n, "flops_per_step": work, "rounds": found}
    for i, by in enumerate(("clock", "processor")):
        best = {key: min(each[i] for each in pairs) for key, pairs in found.items()}
        share = {key: best[key] / best["step"] for key in calls}
        document[by] = {
            "seconds": best,
            "gflops": {
                "large product": large_flops / best["large product"] / 1e9,
                **{key: work / best[key] / 1e9 for key in (*calls, "step")},
            },
            "share_of_products_at_these_shapes": share["products"],
            "share_of_large_product": work * best["large product"] / large_flops / best["step"],
            "parts_of_a_step": {
                "products": share["products"],
                "activations": share["network"] - share["products"],
                "noise, heat kernel, features, output": share["loss"] - share["network"],
                "Adam, averages, choice of rows": 1.0 - share["loss"],
            },
        }
    return document


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    from scorefold._provenance import provenance

    load = os.getloadavg()[0]
    found = {name: profile(name, asked.rounds, asked.steps) for name in NETWORKS}
    document = {
        "what": "share of the machine's float32 matrix products that training reaches, batch 512",
        "seed": SEED,
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        **found,
        **provenance(),
    }
    asked.out.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps({name: found[name]["processor"] for name in NETWORKS}, indent=1))


if __name__ == "__main__":
    main()
