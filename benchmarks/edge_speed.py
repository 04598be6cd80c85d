"""What a density costs: all kernels or those that matter, and how many programs batches need.

    python benchmarks/edge_speed.py [--quick]

First part: mixtures of narrow kernels (standard deviations 0.7 times the distance of the sixth
neighbour) on several spaces, by all kernels, by those that matter, and by what ``KernelModel``
chooses; seconds of the processor, with compiling ("first") and without ("warm"). From these follow
the costs in ``kernels/wrapped/truncated.py``, which are ratios to a pair of the sum over all.
Second part: fifty batch sizes, the programs that they compile, and the memory that a hundred
further rounds add.
Writes benchmarks/results/edge_speed.json.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import time
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "results" / "edge_speed.json"
CASES = [
    ("S^2", 160_000, 1_000), ("S^2", 160_000, 100), ("S^2", 160_000, 10), ("S^2", 160_000, 10_000),
    ("S^2", 10_000, 1_000), ("S^2", 2_000, 10_000),
    ("R^2", 160_000, 300), ("R^6", 40_000, 300), ("T^3", 40_000, 300), ("SO(3)", 40_000, 300),
    ("H^2", 40_000, 300), ("S^2 x R^1", 40_000, 300),
]  # fmt: skip
_MOST = 5e6
"""Pairs that the sum over all kernels is timed on; its seconds for all points follow."""


def points(manifold: Any, n: int, seed: int) -> Any:
    """Clusters of different widths around the origin."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    law, rng = np.random.default_rng(0), np.random.default_rng(seed)
    centres, widths = law.normal(size=(50, manifold.dim)), np.exp(0.7 * law.normal(size=50) - 2.5)
    which = rng.integers(50, size=n)
    v = centres[which] + widths[which, None] * rng.normal(size=(n, manifold.dim))
    origin = manifold.origin(jnp.float32)
    reach = lambda c: manifold.exp(origin, manifold.from_components(origin, c))  # noqa: E731
    return np.asarray(jax.jit(jax.vmap(reach))(jnp.asarray(v, jnp.float32)))


def model(manifold: Any, n: int) -> Any:
    import jax
    import jax.numpy as jnp
    import numpy as np

    import scorefold as sf
    from scorefold.kernels import WrappedMixture
    from scorefold.kernels.wrapped.background import background
    from scorefold.manifolds import nearest
    from scorefold.models import FittedKernelModel
    from scorefold.models.standardise import Units

    z = points(manifold, n, seed=1)
    rng = np.random.default_rng(2)
    near = nearest(manifold, z, z, 6, exclude_self=True)[1][:, -1:]
    std = 0.7 * near * np.exp(0.3 * rng.normal(size=(n, manifold.dim)))
    axes = np.broadcast_to(np.eye(manifold.dim), (n, manifold.dim, manifold.dim))
    parts = (z, axes, std**2, np.full(n, -np.log(n)))
    mixture = WrappedMixture(
        manifold, background(manifold, z), *(jnp.asarray(p, jnp.float32) for p in parts),
        jnp.asarray(-6.0, jnp.float32),
    )  # fmt: skip
    description = sf.KernelModel(manifold, counts=(2,), width=2, depth=1)
    few = description.cross_fit(jax.random.key(0), jnp.asarray(z[:9], jnp.float32))
    return FittedKernelModel(description, few.covariance, few.shares, mixture, Units())


def timed(function: Any) -> tuple[Any, dict[str, float]]:
    import jax

    seconds = {}
    for name in ("first", "warm"):
        cpu, wall = time.process_time(), time.perf_counter()
        value = jax.block_until_ready(function())
        seconds[f"{name}_cpu"] = time.process_time() - cpu
        seconds[f"{name}_wall"] = time.perf_counter() - wall
    return value, seconds


def one(name: str, n: int, m: int) -> dict[str, Any]:
    import jax
    import numpy as np

    import scorefold as sf
    from scorefold._blocks import by_blocks
    from scorefold.kernels import truncated_log_prob
    from scorefold.kernels.wrapped.truncated import cheaper_log_prob
    from scorefold.models.kernel import _log_prob

    manifold = sf.manifold_from_name(name)
    law, x = model(manifold, n), points(manifold, m, seed=3)
    mixture = law.mixture
    row: dict[str, Any] = {"space": name, "kernels": n, "points": m}
    chosen = cheaper_log_prob(mixture, x, rtol=1e-4)
    row["chosen"] = "all" if chosen is None else "those that matter"
    jax.clear_caches()
    value, row["model"] = timed(lambda: law.log_prob(x))
    jax.clear_caches()
    some = x[: max(1, min(m, int(_MOST) // n))]
    exact, seconds = timed(lambda: by_blocks(lambda a: _log_prob(mixture, a), some))
    row["ns_a_pair_of_all"] = 1e9 * seconds["warm_cpu"] / (n * len(some))
    row["seconds_of_all"] = 1e-9 * row["ns_a_pair_of_all"] * n * m
    gap = np.abs(np.asarray(value)[: len(some)] - np.asarray(exact))
    row["largest_difference"] = float(gap.max())
    jax.clear_caches()
    _, row["those_that_matter"] = timed(lambda: truncated_log_prob(mixture, x, rtol=1e-4)[0])
    return row


def sums(cases: list) -> list[dict[str, Any]]:
    rows = []
    for name, n, m in cases:
        row = one(name, n, m)
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def batches(space: str, rounds: int) -> dict[str, Any]:
    import jax
    import numpy as np

    import scorefold as sf

    law = model(sf.manifold_from_name(space), 1000)
    x = points(law.manifold, 3000, seed=3)
    sizes = np.unique(np.linspace(1, 3000, 50).astype(int))
    count = [0]
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: count.__setitem__(
            0, count[0] + (event == "/jax/core/compile/backend_compile_duration")
        )
    )
    found: dict[str, Any] = {"space": space, "sizes": len(sizes)}
    key = jax.random.key(0)
    asks = {
        "log_prob": lambda n: law.log_prob(x[:n]),
        "score": lambda n: law.score(0.01, x[:n]),
        "sample": lambda n: law.sample(key, n),
    }

    def memory() -> float:
        """MiB held by this process (Linux)."""
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    for name, ask in asks.items():
        jax.clear_caches()
        count[0], before = 0, memory()
        for n in sizes:
            ask(int(n))
        after = memory()
        for _ in range(rounds):
            for n in sizes[:10]:
                ask(int(n))
        found[name] = {
            "programs": count[0], "mib_of_programs": after - before, "mib_later": memory() - after,
        }  # fmt: skip
    print(json.dumps(found), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="the first case and one space")
    options = parser.parse_args()
    from scorefold._provenance import provenance

    document = {
        "sums": sums(CASES[:1] if options.quick else CASES),
        "batches": [batches(s, 10 if options.quick else 100) for s in ("R^2", "S^2", "SO(3)")],
        "load_average": os.getloadavg()[0],
        "provenance": provenance(),
    }
    if not options.quick:
        OUT.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
