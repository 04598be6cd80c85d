"""Samples against the number of steps: a bridge and a plain score model.

    python benchmarks/bridge_short.py --seeds 2

Data to noise and back in N steps. The score model runs Ornstein–Uhlenbeck noise to its end
(default noising, standardised data) and comes back from N(0, I) by ``sample_reverse``. The bridge
joins the data to the same N(0, I), in standardised coordinates, by Brownian motion of variance
``--variance``. Same network, same number of training examples. Reported: transport distance W₂ of
1,024 samples to as many fresh points of the law, in the units of the data, beside the floor.
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
from scorefold.bridges import BridgeMatching, brownian_reference, fit_alternating
from scorefold.data.flat import eight_gaussians, moons, swissroll
from scorefold.metrics.wasserstein import transport_distance

OUT = Path(__file__).parent / "results" / "bridge_short.json"
LAWS = {"eight": eight_gaussians, "moons": moons, "swissroll": swissroll}
COUNTS = (5, 10, 20, 50, 100)
N, JUDGED = 10_000, 1024
PLANE = sf.Euclidean(2)


def measure(name: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    law = LAWS[name]()
    keys = jax.random.split(jax.random.key(seed), 8)
    data, fresh, other = (law.sample(k, n) for k, n in zip(keys, (N, JUDGED, JUDGED), strict=False))
    network = sf.NetworkSpec(width=128, depth=3, fourier=args.fourier, frequency=2.0)
    steps = args.half_steps * args.steps
    since = time.monotonic()
    score = sf.ScoreModel(sf.default_noising(PLANE, data), network=network)
    score, _ = sf.fit(
        score, data, key=keys[3], steps=steps, batch_size=args.batch, learning_rate=args.rate,
        progress=False,
    )  # fmt: skip
    score_seconds = time.monotonic() - since
    since = time.monotonic()
    mean, scale = jnp.mean(data, axis=0, keepdims=True), jnp.std(data, axis=0, keepdims=True)
    noise = jax.random.normal(keys[4], (N, 2), data.dtype)
    bridge = BridgeMatching(brownian_reference(PLANE, args.variance), network=network)
    bridge, _ = fit_alternating(
        bridge, (data - mean) / scale, noise, key=keys[5], half_steps=args.half_steps,
        steps=args.steps, batch_size=args.batch, learning_rate=args.rate, progress=False,
    )  # fmt: skip
    bridge_seconds = time.monotonic() - since
    start = jax.random.normal(keys[6], (JUDGED, 2), data.dtype)
    rows: dict[str, Any] = {"bridge": {}, "bridge_flow": {}, "score": {}, "score_denoised": {}}
    for count in COUNTS:
        draws = {
            "bridge": mean + scale * bridge.sample_backward(keys[7], start, steps=count),
            "bridge_flow": mean + scale * bridge.flow(start, direction="backward", steps=count),
            "score": score.sample(keys[7], JUDGED, method="sde", steps=count),
            "score_denoised": score.sample(
                keys[7], JUDGED, method="sde", steps=count, denoised=True
            ),
        }
        for method, x in draws.items():
            rows[method][str(count)] = transport_distance(PLANE, np.asarray(x), np.asarray(fresh))
    floor = transport_distance(PLANE, np.asarray(other), np.asarray(fresh))
    return {**rows, "floor": floor, "score_seconds": score_seconds,
            "bridge_seconds": bridge_seconds, "seed": seed}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--laws", nargs="+", choices=LAWS, default=list(LAWS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--half-steps", type=int, default=6)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--fourier", type=int, default=32)
    parser.add_argument("--variance", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    table: dict[str, Any] = {"provenance": provenance()}
    table["settings"] = {k: str(v) for k, v in vars(args).items() if k != "out"}
    for name in args.laws:
        runs = [measure(name, seed, args) for seed in range(args.seeds)]
        mean: dict[str, Any] = {"floor": float(np.mean([r["floor"] for r in runs]))}
        for method in ("bridge", "bridge_flow", "score", "score_denoised"):
            mean[method] = {
                str(c): float(np.mean([r[method][str(c)] for r in runs])) for c in COUNTS
            }
        table[name] = {"mean": mean, "runs": runs}
        print(name, json.dumps(mean), flush=True)
        args.out.parent.mkdir(exist_ok=True)
        args.out.write_text(json.dumps(table, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
