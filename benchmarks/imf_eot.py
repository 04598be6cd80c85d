"""Bridge matching (iterative Markovian fitting) on pairs of laws whose entropic plan is known.

    python benchmarks/imf_eot.py --dims 2 16
    python benchmarks/imf_eot.py --dims 64 128 --draws 4000

The pairs, samples and judged points of ``light_eot.py``: X_0 ~ N(0, I) and a mixture potential of
five components with turned covariances, 500,000 samples of each end. One setting for all pairs,
chosen on pairs of another key; one seed. The metric is cBW₂²-UVP in per cent from draws of
``sample_forward`` (20 steps) at each of 100 points x_0. Beside it, for the same points,

- ``floor``: the same number of draws of the true conditional laws. The noise of moments adds to
  the error of a model, so ``excess`` = cbw_uvp − floor estimates the metric without it;
- ``gaussian``: the exact bridge between normal laws with the moments of the samples, from which
  training starts, by its moments (no draws, floor 0): what is there before anything is learned.

Published numbers for other pairs of the same construction stand beside them. Writes
benchmarks/results/imf_eot.json after each pair.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np

import scorefold as sf
from scorefold._provenance import provenance
from scorefold.bridges import BridgeMatching, GaussianBridge, fit_bridge, mixture_pair
from scorefold.metrics import bures_wasserstein, conditional_bures
from scorefold.noising import Noising

OUT = Path(__file__).parent / "results" / "imf_eot.json"
PUBLISHED = {
    (0.1, 2): 5.2, (0.1, 16): 16.8, (0.1, 64): 37.3, (0.1, 128): 35.0,
    (1.0, 2): 0.3, (1.0, 16): 1.1, (1.0, 64): 9.7, (1.0, 128): 31.0,
    (10.0, 2): 3.7, (10.0, 16): 105.0, (10.0, 64): 3557.0, (10.0, 128): 15000.0,
}  # fmt: skip
"""DSBM, as reported by Gushchin et al. 2024 (LightSB-M)."""
SAMPLES, HELD_OUT, JUDGED = 500_000, 20_000, 100
NETWORK = sf.NetworkSpec(width=128, depth=3, fourier=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 16, 64, 128])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[0.1, 1.0, 10.0])
    parser.add_argument("--seed", type=int, default=0, help="of the pairs and of training")
    parser.add_argument("--half-steps", type=int, default=4)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--paths", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--chain", type=int, default=20)
    parser.add_argument("--draws", type=int, default=1000, help="at each point x_0")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    # Pairs measured before and not asked for again stay in the file.
    old = json.loads(args.out.read_text())["runs"] if args.out.exists() else []
    runs = {(r["dim"], r["epsilon"]): r for r in old}
    for dim in args.dims:
        for epsilon in args.epsilons:
            runs[dim, epsilon] = run(dim, epsilon, args)
            document = {
                "task": "entropic plans with mixture potentials, bridge matching",
                "samples": SAMPLES, "judged": JUDGED,
                "runs": [runs[pair] for pair in sorted(runs)],
                **provenance(),
            }  # fmt: skip
            args.out.write_text(json.dumps(document, indent=1) + "\n")


def run(dim: int, epsilon: float, args: argparse.Namespace) -> dict:
    key = jax.random.key(args.seed)
    pair = mixture_pair(dim, epsilon, key=key)
    keys = jax.random.split(jax.random.fold_in(key, 1), 5)
    a, va = (
        jax.random.normal(k, (n, dim)) for k, n in zip(keys[:2], (SAMPLES, HELD_OUT), strict=True)
    )
    b, vb = (pair.sample(k, n)[1] for k, n in zip(keys[2:4], (SAMPLES, HELD_OUT), strict=True))
    # The first of the judged points of light_eot.py.
    x0 = np.asarray(jax.random.normal(keys[4], (500, dim)))[:JUDGED]
    truth = pair.bridge.conditional_moments(x0)
    spread = float(np.asarray(b).var(axis=0).sum())

    def percent(draws: jax.Array) -> float:
        return conditional_bures(draws.reshape(JUDGED, args.draws, dim), *truth, spread)

    bridge = BridgeMatching(pair.bridge.reference, network=NETWORK, steps=args.chain)
    wall, processor = time.perf_counter(), time.process_time()
    bridge, history = fit_bridge(
        bridge, a, b, val=(va, vb), key=key, half_steps=args.half_steps, steps=args.steps,
        paths=args.paths, batch_size=args.batch, learning_rate=args.rate, progress=False,
    )  # fmt: skip
    spent = time.perf_counter() - wall, time.process_time() - processor
    many = np.repeat(x0, args.draws, axis=0)
    found = percent(bridge.sample_forward(jax.random.fold_in(key, 2), many, steps=args.chain))
    floor = percent(pair.bridge.sample_conditional(jax.random.fold_in(key, 3), many))
    start = gaussian_moments(pair.bridge.reference, np.asarray(a), np.asarray(b), x0)
    row = {
        "dim": dim, "epsilon": epsilon, "seed": args.seed, "draws": args.draws,
        "cbw_uvp": found, "floor": floor, "excess": found - floor,
        "gaussian": float(100.0 * bures_wasserstein(*start, *truth).mean() / (0.5 * spread)),
        "published_dsbm": PUBLISHED.get((epsilon, dim)),
        "seconds": spent[0], "processor_seconds": spent[1],
        "gap": history.gap.tolist(), "gap_floor": history.floor,
        "change": history.change.tolist(), "loss": history.loss.tolist(),
        "settings": {
            k: getattr(args, k) for k in ("half_steps", "steps", "paths", "batch", "rate", "chain")
        },
    }  # fmt: skip
    print(json.dumps(row), flush=True)
    return row


def gaussian_moments(
    reference: Noising, a: np.ndarray, b: np.ndarray, x0: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of X_1 | x_0 of the bridge between normal laws."""
    (m0, s0), (m1, s1) = ((x.mean(axis=0), np.cov(x, rowvar=False)) for x in (a, b))
    cross = np.asarray(GaussianBridge(reference, m0, s0, m1, s1).cross, np.float64)
    gain = np.linalg.solve(s0, cross)
    mean = m1 + (x0 - m0) @ gain
    return mean, np.broadcast_to(s1 - cross.T @ gain, (len(x0), *s1.shape))


if __name__ == "__main__":
    main()
