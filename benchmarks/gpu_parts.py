"""What ``gpu.py`` measures of a device: each part is a generator of rows, so that what is done
before its time is over is kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from training_profile import NETWORKS, SEED, description, flops, points, sizes

import scorefold as sf
from scorefold.heat import HyperbolicProfile, SO3Profile, SphereProfile, TruncatedSeries

Row = dict[str, Any]
ORACLES = Path(__file__).parents[1] / "tests" / "oracles"
ARITHMETICS = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": None}
"""Names, and JAX's default precision of products of float32 in each."""


def arithmetics() -> list[str]:
    """TF32 exists on GPUs alone: processors multiply float32."""
    return [a for a in ARITHMETICS if a != "tf32" or jax.default_backend() == "gpu"]


def seconds(call: Callable[[], Any], repeats: int = 5) -> float:
    """The best of some calls after a first one that compiles."""
    jax.block_until_ready(call())
    found = []
    for _ in range(repeats):
        since = time.perf_counter()
        jax.block_until_ready(call())
        found.append(time.perf_counter() - since)
    return min(found)


def peak(size: int) -> dict[str, float]:
    """Flops per second of one product of square matrices in each arithmetic."""
    found = {}
    for name in arithmetics():
        dtype = jnp.bfloat16 if name == "bfloat16" else jnp.float32
        a = jax.random.normal(jax.random.key(SEED), (size, size), dtype)
        with jax.default_matmul_precision(ARITHMETICS[name]):
            product = jax.jit(lambda a: a @ a)
            found[name] = 2.0 * size**3 / seconds(lambda p=product, x=a: p(x))
    return found


def training(quick: bool) -> Iterator[Row]:
    """Steps per second, and the share of the peak of the same arithmetic. In bfloat16 the products
    between hidden layers are rounded (``NetworkSpec(products=...)``), the others are JAX's own."""
    top = peak(512 if quick else 8192)
    for name, rate in top.items():
        yield {"what": "one large product", "arithmetic": name, "tflops": rate / 1e12}
    x = points()
    for batch in (512,) if quick else (512, 16_384):
        for network in NETWORKS:
            for name in arithmetics():
                jax.config.update("jax_default_matmul_precision", ARITHMETICS[name])
                products = "bfloat16" if name == "bfloat16" else "float32"
                described = description(network, x, products)
                n = sizes(described.trainer(jax.random.key(SEED), x))
                _, history = sf.fit(
                    described, x, key=jax.random.key(SEED), steps=15 if quick else 2000,
                    batch_size=batch, progress=False,
                )  # fmt: skip
                rate = history.steps / history.train_seconds
                yield {
                    "what": "training", "network": network, "batch": batch, "arithmetic": name,
                    "steps_per_second": rate, "compile_seconds": history.compile_seconds,
                    "tflops": rate * flops(n, batch) / 1e12,
                    "share_of_peak": rate * flops(n, batch) / top[name],
                    "loss_last": float(history.loss[-1]),
                }  # fmt: skip
    jax.config.update("jax_default_matmul_precision", None)


def heat_kernels(quick: bool) -> Iterator[Row]:
    """log p and score of pairs of points, exact and by truncated series, per second."""
    n = 1 << (14 if quick else 22)
    for m in (sf.Sphere(2), sf.SO3(), sf.Torus(2), sf.Hyperbolic(2)):
        origin = m.origin(jnp.float32)
        draw = jax.jit(jax.vmap(lambda k, m=m, o=origin: m.heat.sample(k, o, jnp.float32(0.5))))
        x = draw(jax.random.split(jax.random.key(SEED), n))
        s = jnp.exp(jax.random.uniform(jax.random.key(1), (n,), jnp.float32, -4.0, 1.0))
        kernels = {"exact": m.heat}
        if not isinstance(m, sf.Hyperbolic):
            kernels |= {f"{j} terms": TruncatedSeries(m, j) for j in (5, 10)}
        exact = None
        for name, kernel in kernels.items():
            both = jax.jit(jax.vmap(
                lambda x, s, k=kernel, o=origin: (k.log_prob(x, o, s), k.score(x, o, s))
            ))  # fmt: skip
            rate = n / seconds(lambda f=both, x=x, s=s: f(x, s))
            exact = exact or rate
            yield {
                "what": "heat kernel", "space": m.name, "kernel": name,
                "per_second": rate, "of_exact": rate / exact,
            }  # fmt: skip


def kernel_model(quick: bool) -> Iterator[Row]:
    """Pairs of a point and a kernel per second in ``log_prob`` of a fitted kernel model: as it is
    called (cells of kernels that do not count are left out), and with all kernels summed."""
    n, rows = (1000, 1 << 12) if quick else (20_000, 1 << 17)
    x, asked = points(n), np.resize(points(4096), (rows, 3))
    counts = (5, 13) if quick else None
    model, history = sf.fit(
        sf.KernelModel(sf.Sphere(2), counts=counts), x, key=jax.random.key(SEED),
        steps=10 if quick else 200, progress=False,
    )  # fmt: skip
    kernels = len(model.mixture.centres)
    yield {
        "what": "fit of kernels", "points": n, "kernels": kernels,
        "steps_per_second": history.steps / history.train_seconds,
    }  # fmt: skip
    every = jax.jit(model.log_prob)
    some = jnp.asarray(asked[: rows // 8])
    ways = {"as called": (model.log_prob, asked), "all kernels": (every, some)}
    for name, (function, x) in ways.items():
        taken = seconds(lambda f=function, x=x: f(x), 3)
        yield {
            "what": "log_prob of kernels", "way": name, "rows": len(x), "kernels": kernels,
            "rows_per_second": len(x) / taken, "pairs_per_second": len(x) * kernels / taken,
        }  # fmt: skip


def likelihoods(quick: bool) -> Iterator[Row]:
    """Densities per second of a trained score model, on its fixed grid."""
    x = points()
    steps, rows = (30, 256) if quick else (2000, 1 << 15)
    described = description("default", x)
    model, _ = sf.fit(described, x, key=jax.random.key(SEED), steps=steps, progress=False)
    asked = np.resize(x, (rows, 3))
    taken = seconds(lambda: model.log_prob(asked), 2)
    found = model.density(asked[:256])
    yield {
        "what": "likelihoods", "rows": rows, "per_second": rows / taken,
        "nfe": float(np.mean(np.asarray(found.nfe))),
    }  # fmt: skip


def accuracy(quick: bool) -> Iterator[Row]:
    """The largest errors of heat kernels against tables of high precision, as in the table of
    docs/numerics.md: of log p relative to max(1, |log p|), of the score relative to its size."""
    table = np.load(ORACLES / "heat_sphere.npz")
    rest = json.loads((ORACLES / "heat_so3_hyp.json").read_text())
    cases: list[tuple[str, Any, np.ndarray, Callable[[np.ndarray], np.ndarray]]] = []
    for d in (1, 2, 3) if quick else (1, 2, 3, 4, 8):
        at = table["d"] == d
        numbers = np.stack([table[k][at] for k in ("r", "s", "log_prob", "score")])
        size = lambda s, d=d: np.sqrt(d / s) * np.exp(-0.5 * d * s)  # noqa: E731
        cases.append((f"S^{d}", SphereProfile(d), numbers, size))
    for d in (2, 3) if quick else range(2, 9):
        numbers = np.array([row[1:] for row in rest if row[0] == d], np.float64).T
        cases.append((f"H^{d}", HyperbolicProfile(d), numbers, lambda s, d=d: np.sqrt(d / s)))
    numbers = np.array([row[1:] for row in rest if row[0] == "SO(3)"], np.float64).T
    cases.append(("SO(3)", SO3Profile(), numbers, lambda s: np.sqrt(3 / s) * np.exp(-s)))
    jax.config.update("jax_enable_x64", True)
    for name, profile, (r, s, log_p, score), size in cases:
        both = jax.jit(jax.vmap(lambda r, s, p=profile: (p.log_prob(r, s), -p.slope(r, s) * r)))
        for dtype in (np.float32, np.float64):
            value, slope = (
                np.asarray(a, np.float64) for a in both(r.astype(dtype), s.astype(dtype))
            )
            yield {
                "what": "error", "space": name, "dtype": np.dtype(dtype).name,
                "log_p": float((np.abs(value - log_p) / np.maximum(1, np.abs(log_p))).max()),
                "score": float((np.abs(slope - score) / size(s)).max()),
            }  # fmt: skip


PARTS: dict[str, tuple[Callable[[bool], Iterator[Row]], float]] = {
    "accuracy": (accuracy, 60.0),
    "training": (training, 120.0),
    "heat_kernels": (heat_kernels, 45.0),
    "kernel_model": (kernel_model, 60.0),
    "likelihoods": (likelihoods, 45.0),
}
"""What is measured, and for how many seconds at most."""
