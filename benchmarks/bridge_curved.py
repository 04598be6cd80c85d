"""Learned bridges on curved spaces against exact ones.

    python benchmarks/bridge_curved.py --seeds 2

Brownian motion on S^2 from e^{3z} to e^{−2z} (S = 0.8), on SO(3) from e^{2 cos ω} to e^{−cos ω}
(S = 1) and on T^1 from e^{2 cos θ} to e^{−2 cos θ + sin θ} (S = 1): the exact bridges are sums of
eigenfunctions. From 10,000 draws of both ends each method learns its two fields. Reported, as a
mean over levels and exact draws at them,

    drift_error = E‖∇log ψ − exact‖² / E‖exact‖²   (backward_error for ∇log φ),

the Kullback–Leibler divergence of the learned process from the exact one, ½∫E‖·‖² ds, in nats, and
``log_prob_error``, the root mean square error in nats of log p_0 by the learned probability flow
from the exact density at the other end, at exact draws.
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
    SpectralBridge,
    brownian_reference,
    fit_bridge,
)

OUT = Path(__file__).parent / "results" / "bridge_curved.json"
N, JUDGED, DENSITIES = 10_000, 2000, 500
CASES: dict[str, Any] = {
    "S^2": (sf.Sphere(2), 0.8, lambda z: 3 * z, lambda z: -2 * z),
    "SO(3)": (sf.SO3(), 1.0, lambda w: 2 * np.cos(w), lambda w: -np.cos(w)),
    "T^1": (
        sf.Torus(1),
        1.0,
        lambda x: 2 * np.cos(x[:, 0]),
        lambda x: -2 * np.cos(x[:, 0]) + np.sin(x[:, 0]),
    ),
}
METHODS: dict[str, Any] = {
    "matching": (BridgeMatching, {}),
    "fitting, implicit": (DiffusionSchrodingerBridge, {"loss": "implicit"}),
    "fitting, mean": (DiffusionSchrodingerBridge, {"loss": "mean"}),
}


def measure(case: str, method: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    manifold, total, first, last = CASES[case]
    reference = brownian_reference(manifold, total)
    exact = SpectralBridge(reference, first, last)
    keys = jax.random.split(jax.random.key(seed), 4)
    a, b = (exact.sample(k, t, N) for k, t in zip(keys, (0.0, 1.0), strict=False))
    cls, kwargs = METHODS[method]
    bridge = cls(reference, steps=args.chain, network=sf.NetworkSpec(128, 3, fourier=0), **kwargs)
    since = time.monotonic()
    bridge, history = fit_bridge(
        bridge, a, b, key=keys[2], half_steps=args.half_steps, steps=args.steps,
        batch_size=args.batch, learning_rate=args.rate, progress=False,
    )  # fmt: skip
    seconds = time.monotonic() - since
    sums: dict[str, list[float]] = {"forward": [], "backward": []}
    sizes: dict[str, list[float]] = {"forward": [], "backward": []}
    times = (np.arange(10) + 0.5) / 10
    for k, t in enumerate(times):
        x = exact.sample(jax.random.fold_in(keys[3], k), float(t), JUDGED)
        s = jnp.asarray(t * total, x.dtype)
        for name in sums:
            got, want = (
                jax.jit(jax.vmap(getattr(one, name), in_axes=(0, None)))(x, s)
                for one in (bridge, exact)
            )
            inner = jax.vmap(manifold.inner)
            sums[name].append(float(jnp.mean(inner(x, got - want, got - want))))
            sizes[name].append(float(jnp.mean(inner(x, want, want))))
    x = exact.sample(jax.random.fold_in(keys[3], 100), 0.0, DENSITIES)
    gap = bridge.flow_log_prob(0.0, x, lambda y: exact.log_prob(1.0, y)) - exact.log_prob(0.0, x)
    return {
        "log_prob_error": float(jnp.sqrt(jnp.mean(gap**2))),
        "drift_error": float(np.mean(sums["forward"]) / np.mean(sizes["forward"])),
        "backward_error": float(np.mean(sums["backward"]) / np.mean(sizes["backward"])),
        "divergence": 0.5 * total * float(np.mean(sums["forward"])),
        "gap": float(history.gap[-1]), "floor": history.floor[1], "seconds": seconds, "seed": seed,
        "change": history.change.tolist(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--half-steps", type=int, default=6)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--chain", type=int, default=20)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    table = json.loads(args.out.read_text()) if args.out.exists() else {}
    table["provenance"] = provenance()
    table["settings"] = {k: str(v) for k, v in vars(args).items() if k != "out"}
    for case in args.cases:
        for method in args.methods:
            runs = [measure(case, method, seed, args) for seed in range(args.seeds)]
            numbers = [k for k, v in runs[0].items() if isinstance(v, float)]
            row = {k: [float(f([r[k] for r in runs])) for f in (np.mean, np.std)] for k in numbers}
            table.setdefault(case, {})[method] = {**row, "runs": runs}
            print(case, method, {k: np.round(v, 4).tolist() for k, v in row.items()}, flush=True)
            args.out.parent.mkdir(exist_ok=True)
            args.out.write_text(json.dumps(table, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
