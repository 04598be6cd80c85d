"""Density of a mixture of 10⁶ anisotropic kernels on S² at 10⁴ points.

    python benchmarks/kernel_scale.py

Centres are draws of 50 clusters of different widths; the standard deviations of a kernel are those
that a fitted model has, 0.7 times the distance of the 6th neighbour, times a random factor for each
axis. Points are new draws of the same clusters, one in ten uniform on the sphere. Time includes
compiling and building the trees; memory is the peak of the process, before anything else is
computed. The dense sum over all kernels at 200 of the points, in double precision, is the oracle.
Writes benchmarks/results/kernel_scale.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "results" / "kernel_scale.json"


def clustered(n: int, seed: int) -> Any:
    """Points of the clusters, which are the same for every seed."""
    import numpy as np

    law, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres, widths = law.normal(size=(50, 3)), np.exp(0.7 * law.normal(size=50) - 2.5)
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    which = rng.integers(50, size=n)
    x = centres[which] + widths[which, None] * rng.normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def mixture(n: int) -> Any:
    import jax.numpy as jnp
    import numpy as np
    from scipy.spatial import cKDTree

    import scorefold as sf
    from scorefold.kernels import WrappedMixture
    from scorefold.noising import UniformReference

    rng = np.random.default_rng(1)
    z = clustered(n, seed=2)
    near = cKDTree(z).query(z, k=7, workers=-1)[0][:, -1:]
    std = 0.7 * near * np.exp(0.3 * rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, 2)))
    turn = rng.uniform(0.0, 2.0 * np.pi, n)
    axes = np.stack([np.cos(turn), np.sin(turn), -np.sin(turn), np.cos(turn)], 1)
    log_w = 0.5 * rng.normal(size=n)
    log_w -= np.log(np.exp(log_w).sum())
    sphere = sf.Sphere(2)
    parts = (z, axes.reshape(n, 2, 2), std**2, log_w)
    parts = tuple(jnp.asarray(p, jnp.float32) for p in parts)
    share = jnp.asarray(-6.0, jnp.float32)
    return WrappedMixture(sphere, UniformReference(sphere), *parts, share)


def dense(kernels: Any, x: Any) -> tuple[Any, float]:
    """log p in float64 by all kernels, and processor nanoseconds a pair."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    jax.config.update("jax_enable_x64", True)
    double = lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a  # noqa: E731
    kernels, x = jax.tree.map(double, kernels), jnp.asarray(x, jnp.float64)
    one = eqx.filter_jit(lambda m, y: m.log_prob(y))
    one(kernels, x[0]).block_until_ready()
    cpu = time.process_time()
    found = [float(one(kernels, y)) for y in x]
    cpu = time.process_time() - cpu
    return np.asarray(found), 1e9 * cpu / len(x) / len(kernels.centres)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--centres", type=int, default=10**6)
    parser.add_argument("--points", type=int, default=10**4)
    parser.add_argument("--rtol", type=float, default=1e-3)
    options = parser.parse_args()
    import jax.numpy as jnp
    import numpy as np

    from scorefold._provenance import provenance
    from scorefold.kernels import truncated_log_prob

    kernels = mixture(options.centres)
    near = clustered(options.points, seed=3)
    far = np.random.default_rng(4).normal(size=near.shape)
    far /= np.linalg.norm(far, axis=1, keepdims=True)
    x = jnp.asarray(np.where(np.arange(len(near))[:, None] % 10 == 0, far, near), jnp.float32)
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # noqa: E731
    runs = []
    for _ in range(2):
        wall, cpu = time.perf_counter(), time.process_time()
        log_prob, bound = truncated_log_prob(kernels, x, rtol=options.rtol)
        runs.append({"wall_seconds": time.perf_counter() - wall,
                     "cpu_seconds": time.process_time() - cpu, "peak_rss_gib": peak()})  # fmt: skip
    some = np.linspace(0, len(x) - 1, 200).astype(int)
    exact, cost = dense(kernels, np.asarray(x)[some])
    error = np.abs(np.expm1(np.asarray(log_prob, np.float64)[some] - exact))
    std = np.sqrt(np.asarray(kernels.variances).max(1))
    document = {
        "centres": options.centres,
        "points": options.points,
        "rtol": options.rtol,
        "dtype": "float32",
        "widths_0_1_50_99_100_percent": np.percentile(std, [0, 1, 50, 99, 100]).tolist(),
        "first_call": runs[0],
        "second_call": runs[1],
        "points_against_dense": len(some),
        "max_relative_error_of_density": float(error.max()),
        "max_bound": float(np.asarray(bound).max()),
        "dense_float64_cpu_ns_per_pair": cost,
        "load_average": os.getloadavg()[0],
        "provenance": provenance(),
    }
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
