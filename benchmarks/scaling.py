"""Throughput against devices, rows, dimension and kernels.

    python benchmarks/scaling.py            # writes results/scaling.json and results/scaling.png
    python benchmarks/scaling.py --quick --out /tmp/scaling.json

Devices are simulated: XLA counts the processor as 1, 2 and 4 of them. They share the same cores,
so that nothing can become faster than the cores allow: what is measured is the price of the shares,
work per second of processor time on D devices over that on one (of training by the clock, as
``fit`` counts it). *Strong*: the same rows on more devices; *weak*: rows in proportion to them.
1.0 says that shares cost nothing.

Each number of devices is a process of its own; they run in turn, and of several rounds the best
counts. Compiling is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "results" / "scaling.json"
DEVICES = (1, 2, 4)
SEED = 0
WORKS = ("train", "log_prob", "sample", "transport")


def points(n: int, d: int, seed: int = SEED) -> Any:
    """n points of S^d, three of four coordinates near one point."""
    import numpy as np

    x = np.random.default_rng(seed).normal(size=(n, d + 1))
    x[:, 0] += 2.0
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def rates(work: float, call: Callable[[], Any]) -> dict[str, float]:
    """Work per second of the clock and of the processor: the best of three calls after a first."""
    import jax

    jax.block_until_ready(call())
    found = []
    for _ in range(3):
        since, used = time.perf_counter(), time.process_time()
        jax.block_until_ready(call())
        found.append((time.perf_counter() - since, time.process_time() - used))
    wall, used = (min(each) for each in zip(*found, strict=True))
    return {"clock": work / wall, "processor": work / used}


def train(rows: int, batch: int, d: int, steps: int) -> dict[str, float]:
    """Rows of batches per second of a score network, as ``fit`` counts its time: of the clock."""
    import jax

    import scorefold as sf

    x = points(rows, d)
    description = sf.ScoreModel(
        sf.Brownian(sf.Sphere(d), sf.Linear(1e-3, 5.0)), network=sf.NetworkSpec(width=128, depth=3)
    )
    key = jax.random.key(SEED)
    for _ in range(2):  # the first compiles
        _, history = sf.fit(description, x, key=key, steps=steps, batch_size=batch, progress=False)
    return {"clock": history.steps * batch / history.train_seconds}


def log_prob(rows: int, kernels: int, d: int) -> dict[str, float]:
    """Pairs of a row and a kernel per second of ``HeatKernelDensity``, which sums over all."""
    import jax.numpy as jnp

    import scorefold as sf

    s = jnp.full((kernels,), 0.01, jnp.float32)
    model = sf.models.HeatKernelDensity(sf.Sphere(d), points(kernels, d, 1), s)
    x = points(rows, d)
    return rates(rows * kernels, lambda: model.log_prob(x))


def sample(rows: int, d: int, steps: int) -> dict[str, float]:
    """Draws per second of a score model (hardly trained) in ``steps`` steps."""
    import jax

    import scorefold as sf

    description = sf.ScoreModel(
        sf.Brownian(sf.Sphere(d), sf.Linear(1e-3, 5.0)), network=sf.NetworkSpec(width=128, depth=3)
    )
    model, _ = sf.fit(
        description, points(1000, d), key=jax.random.key(SEED), steps=2, progress=False
    )
    return rates(rows, lambda: model.sample(jax.random.key(1), rows, steps=steps))


def transport(rows: int, d: int) -> dict[str, float]:
    """Costs per second of ten iterations of Sinkhorn between ``rows`` and ``rows`` points."""
    import jax

    import scorefold as sf
    from scorefold.bridges import brownian_reference

    reference = brownian_reference(sf.Sphere(d), 1.0)
    x, y = points(rows, d), points(rows, d, 1)[:, ::-1].copy()
    iterations = 10

    def call() -> Any:
        with warnings.catch_warnings():
            # It is told to stop early, and says so.
            warnings.simplefilter("ignore", sf.ScorefoldWarning)
            plan = sf.bridges.transport(
                reference, x, y, matrix=False, tolerance=1e-30, max_iterations=iterations
            )
        return jax.block_until_ready(plan.rest_f)

    return rates(rows * rows * iterations, call)


def on_devices(count: int) -> dict[str, Any]:
    """Everything that a process with ``count`` devices measures, on a mesh of all of them."""
    import scorefold as sf

    found: dict[str, Any] = {}
    with sf.use_mesh(sf.device_mesh(count)):
        for kind, factor in (("strong", DEVICES[-1]), ("weak", count)):
            found[kind] = {
                "train": train(20_000, 512 * factor, 2, 100),
                "log_prob": log_prob(4096 * factor, 500, 2),
                "sample": sample(4096 * factor, 2, 5),
                # Both ends have as many points, so that the costs are in proportion.
                "transport": transport(int(1024 * factor**0.5), 2),
            }
    return found


def on_one(quick: bool) -> dict[str, Any]:
    """Rows, dimension and kernels on one device."""
    numbers = [10**k for k in range(4, 6 if quick else 7)]
    return {
        "rows": {
            "train": {n: train(n, 256, 2, 200) for n in numbers},
            "log_prob": {n: log_prob(n, 20, 2) for n in numbers},
            "sample": {n: sample(n, 2, 2) for n in (1000, *numbers[: 1 if quick else 2])},
            "transport": {
                n: transport(n, 2) for n in ((500, 1000) if quick else (500, 1000, 2000))
            },
        },
        "dimension": {
            "train": {d: train(10**4, 256, d, 200) for d in (2, 5, 8)},
            "log_prob": {d: log_prob(1024, 200, d) for d in (2, 5, 8)},
        },
        "kernels": {"log_prob": {k: log_prob(1024, k, 2) for k in (100, 1000, 10_000)}},
    }


def process(count: int, quick: bool, only: str) -> dict[str, Any]:
    """What ``--only`` prints in a process with so many devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    words = [sys.executable, __file__, "--only", only, "--devices", str(count)]
    words += ["--quick"] if quick else []
    load = os.getloadavg()[0]
    env = os.environ | {"XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu"}
    run = subprocess.run(words, env=env, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(run.stdout.strip().splitlines()[-1])
    print(only, count, found, file=sys.stderr, flush=True)
    return {**found, "load": round(load, 1)}


def ratios(runs: dict[int, list[dict[str, Any]]]) -> dict[str, Any]:
    """Throughput on D devices over that on one, of the best of the rounds each: by the time of the
    processor, for training by the clock."""

    def best(n: int, kind: str, work: str) -> float:
        by = "clock" if work == "train" else "processor"
        return max(run[kind][work][by] for run in runs[n])

    return {
        kind: {
            work: {n: round(best(n, kind, work) / best(1, kind, work), 3) for n in runs}
            for work in WORKS
        }
        for kind in ("strong", "weak")
    }


def relative(found: dict[str, dict[str, float]]) -> tuple[list[int], list[float]]:
    """Numbers on an axis, and the throughput of each over that of the first."""
    values = [each.get("processor", each["clock"]) for each in found.values()]
    return [int(n) for n in found], [value / values[0] for value in values]


def figure(document: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 4, figsize=(15, 3.6), layout="constrained")
    one = document["one_device"]
    for ax, kind in zip(axes, ("strong", "weak"), strict=False):
        for work, found in document["ratios"][kind].items():
            ax.plot([int(n) for n in found], list(found.values()), "o-", label=work)
        ax.set(title=f"{kind} scaling", xlabel="simulated devices on the same cores")
        ax.set_xticks(DEVICES)
    axes[0].set_ylabel("throughput, relative")
    for work, found in one["rows"].items():
        axes[2].plot(*relative(found), "o-", label=work)
    axes[2].set(title="rows", xlabel="rows (points of an end)", xscale="log")
    for axis, work in (("kernels", "log_prob"), ("dimension", "log_prob"), ("dimension", "train")):
        axes[3].plot(*relative(one[axis][work]), "o-", label=f"{work} by {axis}")
    axes[3].set(title="kernels and dimension", xlabel="kernels, dimension", xscale="log")
    for ax in axes:
        ax.axhline(1.0, color="0.7", lw=1, zorder=0)
        ax.set_ylim(0, None)
        ax.legend(fontsize=8)
    fig.savefig(path, dpi=110)
    plt.close(fig)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer rows on one device")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", choices=("devices", "one"), help="measure here, print a line")
    parser.add_argument("--devices", type=int, default=1)
    asked = parser.parse_args()
    if asked.only:
        one = asked.only == "one"
        print(json.dumps(on_one(asked.quick) if one else on_devices(asked.devices)))
        return

    from scorefold._provenance import provenance

    runs: dict[int, list[dict[str, Any]]] = {n: [] for n in DEVICES}
    document: dict[str, Any] = {
        "what": "throughput on simulated devices, which share the cores of one processor",
        "units": {
            "train": "rows of batches/s", "log_prob": "pairs of a row and a kernel/s",
            "sample": "draws/s", "transport": "costs/s",
        },
        "seed": SEED,
        "cores": os.cpu_count(),
        **provenance(),
    }  # fmt: skip
    document["one_device"] = process(1, asked.quick, "one")
    for _ in range(asked.rounds):
        for n in DEVICES:
            runs[n].append(process(n, asked.quick, "devices"))
        document |= {"ratios": ratios(runs), "runs": runs}
        asked.out.write_text(json.dumps(document, indent=1) + "\n")
    figure(json.loads(asked.out.read_text()), asked.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
