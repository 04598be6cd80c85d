"""Learned bridges between laws in the plane.

    python benchmarks/bridge_two_dim.py --seeds 3

The tasks of Tong et al. 2024 (Section 5.1): a standard normal law to eight Gaussians, moons and an
S-curve, and moons to eight Gaussians, by Brownian motion of variance 1, from 10,000 points of each.

- moons: two half circles as drawn by scikit-learn, three times the size and moved by −1, with
  noise 0.2·3 uniform along the diagonal (the form of that benchmark's code);
- eight Gaussians: centres at distance 5, covariance √0.1 I (there too);
- S-curve: (sin t, sign(t)(cos t − 1)), |t| ≤ 3π/2, noise 0.1.

``w2``: exact transport distance of 4,096 points carried forward (100 steps) to 4,096 fresh ones,
beside that of two fresh samples. ``energy``: path energy E∫|v|² dt of the probability flow,
against that of the bridge between two samples of 2,048, which is known (Sinkhorn's algorithm):
``energy_error`` = |energy − exact|/exact; ``transport_energy_error`` puts the squared transport
distance in the place of the exact one, which is what the publications do: its limit is not 0,
since a bridge with noise moves differently from a transport map.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import scorefold as sf
from scorefold._provenance import provenance
from scorefold.bridges import (
    BridgeMatching,
    DiffusionSchrodingerBridge,
    brownian_reference,
    fit_alternating,
)
from scorefold.metrics.wasserstein import transport_distance

OUT = Path(__file__).parent / "results" / "bridge_two_dim.json"
N, JUDGED, KNOWN = 10_000, 4096, 2048
PLANE = sf.Euclidean(2)
TASKS = {
    "normal to eight": ("normal", "eight"),
    "moons to eight": ("moons", "eight"),
    "eight to moons": ("eight", "moons"),
    "normal to moons": ("normal", "moons"),
    "normal to S": ("normal", "scurve"),
}
PUBLISHED = {
    "normal to eight": {"w2": 0.275, "transport_energy_error": 0.016},
    "eight to moons": {"w2": 0.726, "transport_energy_error": 0.045},
    "normal to moons": {"w2": 0.124, "transport_energy_error": 0.053},
    "normal to S": {"w2": 0.128, "transport_energy_error": 0.034},
}
"""[SF]2M-Exact, Tong et al. 2024, Table 2; other sizes of the moons and the curve are possible."""


def draw(name: str, n: int, rng: np.random.Generator) -> np.ndarray:
    if name == "normal":
        x = rng.normal(size=(n, 2))
    elif name == "eight":
        angle = 2 * np.pi / 8 * rng.integers(8, size=n)
        x = 5 * np.stack([np.cos(angle), np.sin(angle)], 1)
        x = x + np.sqrt(np.sqrt(0.1)) * rng.normal(size=(n, 2))
    elif name == "moons":
        t, inner = np.pi * rng.uniform(size=n), rng.uniform(size=n) < 0.5
        outer = np.stack([np.cos(t), np.sin(t)], 1)
        x = np.where(inner[:, None], [1.0, 0.5] - outer, outer)
        x = 3 * (x + 0.2 * rng.uniform(size=(n, 1))) - 1
    else:
        t = 3 * np.pi * (rng.uniform(size=n) - 0.5)
        x = np.stack([np.sin(t), np.sign(t) * (np.cos(t) - 1)], 1)
        x = x + 0.1 * rng.normal(size=(n, 2))
    return x.astype(np.float32)


def exact_energy(x: np.ndarray, y: np.ndarray, times: int = 20) -> float:
    """E∫|v|² dt of the bridge between two samples: its potentials by 500 rounds of Sinkhorn's
    algorithm, its law at t by pairs of the plan and Brownian bridges, v = ½(∇log ψ − ∇log φ)."""
    x, y = jnp.asarray(x), jnp.asarray(y)

    def logs(p: Any, q: Any, s: Any) -> Any:
        return -0.5 * jnp.sum((p[:, None] - q[None]) ** 2, -1) / s

    @jax.jit
    def potentials() -> Any:
        kernel = logs(x, y, 1.0)

        def body(_: Any, v: Any) -> Any:
            u = -jax.nn.logsumexp(kernel + v[None], axis=1)
            return -jax.nn.logsumexp(kernel + u[:, None], axis=0)

        v = jax.lax.fori_loop(0, 500, body, jnp.zeros(len(y)))
        u = -jax.nn.logsumexp(kernel + v[None], axis=1)
        partner = jax.random.categorical(jax.random.key(0), kernel + v[None], axis=1)
        return u, v, y[partner]

    @jax.jit
    def energy(t: Any, key: Any, u: Any, v: Any, end: Any) -> Any:
        noise = jnp.sqrt(t * (1 - t)) * jax.random.normal(key, x.shape)
        z = (1 - t) * x + t * end + noise
        ahead = jax.nn.softmax(logs(z, y, 1 - t) + v[None], axis=1) @ y
        behind = jax.nn.softmax(logs(z, x, t) + u[None], axis=1) @ x
        flow = 0.5 * ((ahead - z) / (1 - t) - (behind - z) / t)
        return jnp.mean(jnp.sum(flow**2, -1))

    found = potentials()
    t = (np.arange(times) + 0.5) / times
    keys = jax.random.split(jax.random.key(1), times)
    values = [energy(jnp.float32(s), k, *found) for s, k in zip(t, keys, strict=True)]
    return float(np.mean(values))


def measure(task: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    first, last = TASKS[task]
    a, b = draw(first, N, rng), draw(last, N, rng)
    start, goal, other = (draw(k, JUDGED, rng) for k in (first, last, last))
    cls = BridgeMatching if args.method == "matching" else DiffusionSchrodingerBridge
    bridge = cls(
        brownian_reference(PLANE, 1.0), steps=args.chain,
        network=sf.NetworkSpec(width=args.width, depth=3, fourier=args.fourier, frequency=2.0),
    )  # fmt: skip
    since = time.monotonic()
    bridge, history = fit_alternating(
        bridge, a, b, key=jax.random.key(seed), half_steps=args.half_steps, steps=args.steps,
        batch_size=args.batch, learning_rate=args.rate, progress=False,
    )  # fmt: skip
    seconds = time.monotonic() - since
    end = np.asarray(bridge.sample_forward(jax.random.key(seed + 100), start, steps=100))
    paths = np.asarray(bridge.flow(start, steps=100, paths=True), np.float64)
    h = np.diff(np.asarray(bridge.grid(100, np.float32), np.float64))
    energy = float(np.mean(np.sum(np.sum(np.diff(paths, axis=1) ** 2, -1) / h, -1)))
    exact = exact_energy(start[:KNOWN], goal[:KNOWN])
    transport = transport_distance(PLANE, start[:KNOWN], goal[:KNOWN]) ** 2
    return {
        "w2": transport_distance(PLANE, end, goal),
        "w2_floor": transport_distance(PLANE, other, goal),
        "w2_flow": transport_distance(PLANE, paths[:, -1].astype(np.float32), goal),
        "energy": energy, "exact_energy": exact, "energy_error": abs(energy / exact - 1),
        "transport_energy_error": abs(energy / transport - 1),
        "exact_transport_energy_error": abs(exact / transport - 1),
        "seconds": seconds, "gap": history.gap.tolist(), "change": history.change.tolist(),
        "seed": seed,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--method", choices=["matching", "fitting"], default="matching")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--half-steps", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--fourier", type=int, default=0)
    parser.add_argument("--chain", type=int, default=20)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    table = json.loads(args.out.read_text()) if args.out.exists() else {}
    table |= {"provenance": provenance(), "published": PUBLISHED}
    part = table.setdefault(args.method, {})
    part["settings"] = {k: str(v) for k, v in vars(args).items() if k != "out"}
    for task in args.tasks:
        runs = [measure(task, seed, args) for seed in range(args.seeds)]
        numbers = [k for k, v in runs[0].items() if isinstance(v, float)]
        row = {k: [float(f([r[k] for r in runs])) for f in (np.mean, np.std)] for k in numbers}
        part[task] = {**row, "runs": runs}
        print(task, {k: np.round(v, 4).tolist() for k, v in row.items()}, flush=True)
        args.out.parent.mkdir(exist_ok=True)
        args.out.write_text(json.dumps(table, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
