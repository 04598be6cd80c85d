"""How often are the innocent called copies, and how often are copies found?

    python benchmarks/copying_calibration.py --keys 100

Points of four laws (repelling, clustered, gridded, smooth), 400 to train, 50 to validate, 50 to
test, 400 draws: fresh points of the law, a smooth law that knows nothing of the points, and the
latter with 5, 10 and 20 % of noisy training points. Shares of verdicts to
benchmarks/results/copying_calibration.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import jax
import numpy as np

from scorefold._provenance import provenance
from scorefold.manifolds import Euclidean, Manifold, Sphere, Torus
from scorefold.metrics import copying, nearest_ratio

OUT = Path(__file__).parent / "results" / "copying_calibration.json"
CALLED = "copies training points"
N, DRAWS = 400, 400


def directions(rng: np.random.Generator, n: int) -> np.ndarray:
    x = rng.normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def hard_core(rng: np.random.Generator, n: int) -> np.ndarray:
    """Uniform directions, kept if farther than 0.09 rad from all kept."""
    kept = np.empty((0, 3))
    while len(kept) < n:
        for x in directions(rng, 2000):
            if len(kept) == 0 or np.max(kept @ x) < np.cos(0.09):
                kept = np.concatenate([kept, x[None]])
            if len(kept) == n:
                break
    return kept


def clusters(rng: np.random.Generator, n: int) -> np.ndarray:
    centres = np.random.default_rng(9).normal(size=(30, 2))
    return centres[rng.integers(30, size=n)] + 0.02 * rng.normal(size=(n, 2))


LAWS = {
    "repelling": (Sphere(2), hard_core, directions),
    "clustered": (Euclidean(2), clusters, lambda rng, n: rng.normal(size=(n, 2))),
    "gridded": (Torus(2), lambda rng, n: np.round(rng.uniform(-3, 3, (n, 2)), 1),
                lambda rng, n: rng.uniform(-3, 3, (n, 2))),
    "smooth": (Euclidean(3), lambda rng, n: rng.normal(size=(n, 3)),
               lambda rng, n: 1.1 * rng.normal(size=(n, 3))),
}  # fmt: skip


def with_copies(
    rng: np.random.Generator, manifold: Manifold, x: np.ndarray, train: np.ndarray, share: float
) -> np.ndarray:
    count = round(share * len(x))
    mixed = x.copy()
    noise = 2e-4 * rng.normal(size=(count, x.shape[1]))
    mixed[:count] = train[rng.integers(len(train), size=count)] + noise
    if isinstance(manifold, Sphere):
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    return mixed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--keys", type=int, default=100)
    parser.add_argument("--out", default=OUT, type=Path)
    arguments = parser.parse_args()
    started, found = time.perf_counter(), {}
    for name, (manifold, law, innocent) in LAWS.items():
        called: dict[str, list[tuple[bool, bool]]] = {}
        for k in range(arguments.keys):
            rng = np.random.default_rng(k)
            points = rng.permutation(law(rng, N + 100))
            train, val, test = points[:N], points[N : N + 50], points[N + 50 :]
            blind = innocent(rng, DRAWS)
            draws = {"fresh points": law(rng, DRAWS), "blind law": blind}
            for share in (0.05, 0.1, 0.2):
                mixed = with_copies(rng, manifold, blind, train, share)
                draws[f"{100 * share:.0f} % copies"] = mixed
            for kind, x in draws.items():
                result = copying(manifold, x, train, test, val=val, key=jax.random.key(k), cells=1)
                ratio = nearest_ratio(manifold, x, train, test, val=val)
                called.setdefault(kind, []).append(
                    (result.verdict == CALLED, ratio.verdict == CALLED)
                )
        found[name] = {
            kind: dict(zip(("copying", "nearest_ratio"), np.mean(v, axis=0).tolist(), strict=True))
            for kind, v in called.items()
        }
        print(name, json.dumps(found[name]), flush=True)
    document = {
        "keys": arguments.keys,
        "share_called_copies": found,
        "seconds": time.perf_counter() - started,
        **provenance(),
    }
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
