"""Throughput against devices, rows, dimension and kernels.

    python benchmarks/scaling.py            # writes results/scaling.json and results/scaling.png
    python benchmarks/scaling.py --quick --out /tmp/scaling.json

Devices are simulated: XLA counts the processor as 1, 2 and 4 of them. They share the same cores,
so that work in shares can become no faster than the cores allow, and what is measured is the price
of the shares: rows per second on D devices over those on one. *Strong*: the same rows on more
devices; *weak*: rows in proportion to the devices. 1.0 says that shares cost nothing.

Each number of devices is a process of its own; they run in turn, twice, and the better of the two
counts. All calls are second calls: compiling is left out.
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


def seconds(call: Callable[[], Any]) -> float:
    """Of the second call, and of further ones while they are short: the best."""
    import jax

    jax.block_until_ready(call())
    found: list[float] = []
    while not found or (sum(found) < 0.5 and len(found) < 5):
        since = time.perf_counter()
        jax.block_until_ready(call())
        found.append(time.perf_counter() - since)
    return min(found)


def train(rows: int, batch: int, d: int, steps: int) -> float:
    """Rows of batches per second of the default score network, as ``fit`` counts its time."""
    import jax

    import scorefold as sf

    x = points(rows, d)
    description = sf.ScoreModel(sf.Brownian(sf.Sphere(d), sf.Linear(1e-3, 5.0)))
    key = jax.random.key(SEED)
    _, history = sf.fit(description, x, key=key, steps=steps, batch_size=batch, progress=False)
    return history.steps * batch / history.train_seconds


def log_prob(rows: int, kernels: int, d: int) -> float:
    """Pairs of a row and a kernel per second of ``HeatKernelDensity``, which sums over all."""
    import jax.numpy as jnp

    import scorefold as sf

    s = jnp.full((kernels,), 0.01, jnp.float32)
    model = sf.models.HeatKernelDensity(sf.Sphere(d), points(kernels, d, 1), s)
    x = points(rows, d)
    return rows * kernels / seconds(lambda: model.log_prob(x))


def sample(rows: int, d: int, steps: int) -> float:
    """Draws per second of a score model (default network, hardly trained) in ``steps`` steps."""
    import jax

    import scorefold as sf

    description = sf.ScoreModel(sf.Brownian(sf.Sphere(d), sf.Linear(1e-3, 5.0)))
    model, _ = sf.fit(
        description, points(1000, d), key=jax.random.key(SEED), steps=2, progress=False
    )
    return rows / seconds(lambda: model.sample(jax.random.key(1), rows, steps=steps))


def transport(rows: int, d: int) -> float:
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

    return rows * rows * iterations / seconds(call)


def on_devices(count: int, quick: bool) -> dict[str, Any]:
    """Everything that a process with ``count`` devices measures, on a mesh of all of them."""
    import scorefold as sf

    small = 4 if quick else 1
    base = {"train": 512, "log_prob": 4096 // small, "sample": 1024, "transport": 2048 // small}
    found: dict[str, Any] = {}
    with sf.use_mesh(sf.device_mesh(count)):
        for kind, factor in (("strong", 4), ("weak", count)):
            rows = {name: factor * n for name, n in base.items()}
            found[kind] = {
                "train": train(20_000, rows["train"], 2, 8 if quick else 30),
                "log_prob": log_prob(rows["log_prob"], 1000, 2),
                "sample": sample(rows["sample"], 2, 10),
                # Rows of one end are in shares; both ends have as many.
                "transport": transport(int(rows["transport"] / factor * factor**0.5), 2),
            }
    return found


def on_one(quick: bool) -> dict[str, Any]:
    """Rows, dimension and kernels on one device."""
    most = 5 if quick else 6
    numbers = [10**k for k in range(4, most + 1)]
    steps = 8 if quick else 30
    return {
        "rows": {
            "train": {n: train(n, 512, 2, steps) for n in numbers},
            "log_prob": {n: log_prob(n, 100, 2) for n in numbers},
            "sample": {n: sample(n, 2, 3) for n in numbers[: 1 if quick else 2]},
            "transport": {n: transport(n, 2) for n in ((1000, 2000) if quick else (2000, 8000))},
        },
        "dimension": {
            "train": {d: train(10**4, 512, d, steps) for d in (2, 5, 8)},
            "log_prob": {d: log_prob(4096, 500, d) for d in (2, 5, 8)},
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
    """Throughput on D devices over that on one: the best of the rounds each."""
    found: dict[str, Any] = {}
    for kind in ("strong", "weak"):
        best = {
            n: {work: max(run[kind][work] for run in each) for work in WORKS}
            for n, each in runs.items()
        }
        found[kind] = {
            work: {n: round(best[n][work] / best[1][work], 3) for n in runs} for work in WORKS
        }
    return found


def figure(document: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(1, 4, figsize=(14, 3.4), layout="constrained")
    for ax, kind in zip(axes, ("strong", "weak"), strict=False):
        for work, found in document["ratios"][kind].items():
            ax.plot([int(n) for n in found], list(found.values()), "o-", label=work)
        ax.axhline(1.0, color="0.7", lw=1, zorder=0)
        ax.set(title=f"{kind} scaling", xlabel="simulated devices, the same cores", ylim=(0, None))
        ax.set_xticks(DEVICES)
    axes[0].set_ylabel("throughput, of that on one")
    axes[0].legend(fontsize=8)
    one = document["one_device"]
    for work, found in one["rows"].items():
        first = next(iter(found.values()))
        axes[2].plot([int(n) for n in found], [v / first for v in found.values()], "o-", label=work)
    axes[2].set(title="rows", xlabel="rows", xscale="log", ylim=(0, None))
    axes[2].set_ylabel("throughput, of that of the fewest")
    for axis, work in (("kernels", "log_prob"), ("dimension", "log_prob"), ("dimension", "train")):
        found = one[axis][work]
        first = next(iter(found.values()))
        at = [int(n) for n in found]
        label = f"{work} by {axis}"
        axes[3].plot(at, [v / first for v in found.values()], "o-", label=label)
    axes[3].set(title="kernels and dimension", xlabel="kernels, dimension", xscale="log")
    axes[3].set_ylim(0, None)
    axes[3].legend(fontsize=8)
    fig.savefig(path, dpi=120)
    plt.close(fig)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="less of everything")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", choices=("devices", "one"), help="measure here, print a line")
    parser.add_argument("--devices", type=int, default=1)
    asked = parser.parse_args()
    if asked.only:
        one = asked.only == "one"
        print(json.dumps(on_one(asked.quick) if one else on_devices(asked.devices, asked.quick)))
        return

    from scorefold._provenance import provenance

    rounds = 1 if asked.quick else asked.rounds
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
    for _ in range(rounds):
        for n in DEVICES:
            runs[n].append(process(n, asked.quick, "devices"))
        document |= {"ratios": ratios(runs), "runs": runs}
        asked.out.write_text(json.dumps(document, indent=1) + "\n")
    figure(json.loads(asked.out.read_text()), asked.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
