"""Learned bridges between laws in the plane.

    python benchmarks/bridge_two_dim.py --seeds 3
    python benchmarks/bridge_two_dim.py --method light --steps 2000

The tasks of Tong et al. 2024 (Section 5.1): a standard normal law to eight Gaussians, moons and an
S-curve, and moons to eight Gaussians, by Brownian motion of variance 1, from 10,000 points of each.

- moons: two half circles as drawn by scikit-learn, three times the size and moved by −1, with
  noise 0.2·3 uniform along the diagonal (the form of that benchmark's code);
- eight Gaussians: centres at distance 5, covariance √0.1 I (there too);
- S-curve: (sin t, sign(t)(cos t − 1)), |t| ≤ 3π/2, noise 0.1.

``w2``: exact transport distance of 2,048 points carried forward (100 steps) to as many fresh ones,
beside that of two fresh samples (the floor; the published values are of 10,000 points, whose floor
is about half). ``energy``: E|v_t|², v the probability flow, mean over t from 0.1 to 0.9, against
that of the bridge itself, computed from samples by Sinkhorn's algorithm; nearer to the ends 2,048
points do not resolve it. ``energy_error`` = |energy − exact|/exact. ``transport_energy_error``
is that of the publications: the energy of the paths of the flow over all of [0, 1] against the
squared transport distance. Its limit is not 0: a bridge with noise moves otherwise than a map.
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
    GaussianPotential,
    LightBridge,
    brownian_reference,
    fit_alternating,
    fit_bridge,
)
from scorefold.metrics.wasserstein import transport_distance

OUT = Path(__file__).parent / "results" / "bridge_two_dim.json"
N, JUDGED, KNOWN = 10_000, 2048, 2048
TIMES = (np.arange(16, dtype=np.float32) + 2.5) / 20
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


def exact_energy(draws: Any) -> float:
    """E|v_t|² of the bridge, mean over TIMES, v = ½(∇log ψ − ∇log φ), from samples: each pair of
    samples has its plan (300 rounds of Sinkhorn's algorithm), and each plan its v. States at t come
    from the plan of a third pair by Brownian bridges, and |v|² is the product of the other two,
    whose errors are independent: no plan is asked at its own points, where it knows too much."""

    def logs(p: Any, q: Any, s: Any) -> Any:
        return -0.5 * jnp.sum((p[:, None] - q[None]) ** 2, -1) / s

    @jax.jit
    def potentials(x: Any, y: Any) -> Any:
        kernel = logs(x, y, 1.0)

        def body(_: Any, v: Any) -> Any:
            u = -jax.nn.logsumexp(kernel + v[None], axis=1)
            return -jax.nn.logsumexp(kernel + u[:, None], axis=0)

        v = jax.lax.fori_loop(0, 300, body, jnp.zeros(len(y)))
        u = -jax.nn.logsumexp(kernel + v[None], axis=1)
        return u, v, y[jax.random.categorical(jax.random.key(0), kernel + v[None], axis=1)]

    @jax.jit
    def flow(z: Any, t: Any, x: Any, y: Any, u: Any, v: Any) -> Any:
        ahead = jax.nn.softmax(logs(z, y, 1 - t) + v[None], axis=1) @ y
        behind = jax.nn.softmax(logs(z, x, t) + u[None], axis=1) @ x
        return 0.5 * ((ahead - z) / (1 - t) - (behind - z) / t)

    pairs = [tuple(map(jnp.asarray, draws())) for _ in range(3)]
    plans = [potentials(*pair) for pair in pairs]
    start, end = pairs[2][0], plans[2][2]
    values = []
    for k, t in enumerate(TIMES):
        noise = jax.random.normal(jax.random.key(k), start.shape)
        z = (1 - t) * start + t * end + np.sqrt(t * (1 - t)) * noise
        v = [flow(z, t, *pairs[i], *plans[i][:2]) for i in (0, 1)]
        values.append(float(jnp.mean(jnp.sum(v[0] * v[1], -1))))
    return float(np.mean(values))


def measure(task: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    first, last = TASKS[task]
    a, b = draw(first, N, rng), draw(last, N, rng)
    start, goal, other = (draw(k, args.judged, rng) for k in (first, last, last))
    since = time.monotonic()
    if args.method == "light":
        held = draw(first, 1000, rng), draw(last, 1000, rng)
        bridge, _ = fit_bridge(
            LightBridge(
                brownian_reference(PLANE, 1.0), potential=GaussianPotential(args.components, "full")
            ),
            a, b, key=jax.random.key(seed), val=held, steps=args.steps, progress=False,
        )  # fmt: skip
        more: dict[str, Any] = {}
    else:
        bridge, more = learned(a, b, seed, args)
    seconds = time.monotonic() - since
    end = np.asarray(bridge.sample_forward(jax.random.key(seed + 100), start, steps=100))
    paths = np.asarray(bridge.flow(start, steps=100, paths=True), np.float64)
    h = np.diff(np.asarray(bridge.grid(100, np.float32), np.float64))
    whole = float(np.mean(np.sum(np.sum(np.diff(paths, axis=1) ** 2, -1) / h, -1)))
    grid = np.asarray(bridge.grid(100, np.float32))
    states = bridge.sample_forward(jax.random.key(seed + 200), a, steps=100, paths=True)
    speeds = [
        jnp.mean(jnp.sum(bridge.velocity(float(grid[k]), states[:, k]) ** 2, -1))
        for k in (np.argmin(np.abs(grid - t)) for t in TIMES)
    ]
    energy = float(np.mean(speeds))
    exact = exact_energy(lambda: [draw(k, KNOWN, rng) for k in (first, last)])
    transport = transport_distance(PLANE, start[:KNOWN], goal[:KNOWN]) ** 2
    return {
        "w2": transport_distance(PLANE, end, goal),
        "w2_floor": transport_distance(PLANE, other, goal),
        "w2_flow": transport_distance(PLANE, paths[:, -1].astype(np.float32), goal),
        "energy": energy, "exact_energy": exact, "energy_error": abs(energy / exact - 1),
        "path_energy": whole, "transport_energy_error": abs(whole / transport - 1),
        "seconds": seconds, "seed": seed, **more,
    }  # fmt: skip


def learned(a: np.ndarray, b: np.ndarray, seed: int, args: argparse.Namespace) -> tuple:
    cls, kwargs = {
        "matching": (BridgeMatching, {"coupling": "transport"}),
        "fitting": (DiffusionSchrodingerBridge, {}),
    }[args.method]
    bridge = cls(
        brownian_reference(PLANE, 1.0), steps=args.chain, **kwargs,
        network=sf.NetworkSpec(width=args.width, depth=3, fourier=args.fourier, frequency=2.0),
    )  # fmt: skip
    bridge, history = fit_alternating(
        bridge, a, b, key=jax.random.key(seed), half_steps=args.half_steps, steps=args.steps,
        batch_size=args.batch, learning_rate=args.rate, paths=8192, progress=False,
    )  # fmt: skip
    return bridge, {"gap": history.gap.tolist(), "change": history.change.tolist()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--method", choices=["matching", "fitting", "light"], default="matching")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--half-steps", type=int, default=4)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--fourier", type=int, default=0)
    parser.add_argument("--chain", type=int, default=20)
    parser.add_argument("--judged", type=int, default=JUDGED, help="points of w2")
    parser.add_argument("--components", type=int, default=50, help="of a light bridge")
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
