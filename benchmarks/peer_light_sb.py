"""Light bridges beside the code of LightSB (Korotin et al. 2024) on the same pairs, one run.

    python benchmarks/peer_light_sb.py --peer DIR --peer-python PYTHON --dims 2 16 64

DIR is a check-out of their repository, PYTHON an interpreter with torch and geotorch. For each
dimension and ε the same 500 000 samples of a ``mixture_pair`` are given to both, one after the
other on the same core. Theirs with the settings of their notebook (``peer_light_sb_run.py``; 1.28
million points of each end drawn in all), and with ten full covariances in the place of fifty
diagonal ones, the form of ours. Ours with the settings of ``light_eot.py``; with these but as many
points drawn as theirs, so fewer steps; and with their steps and batch. cBW₂²-UVP in per cent from
conditional moments in closed form for all, at the same 500 points. What is not asked for stays in
benchmarks/results/peer_light_sb.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from scorefold._provenance import provenance
from scorefold.bridges import GaussianPotential, LightBridge, fit_bridge, mixture_pair
from scorefold.metrics import bures_wasserstein

SAMPLES, HELD_OUT, JUDGED, RATE = 500_000, 20_000, 500, 5e-3
LENGTHS = {0.1: (5000, 1024), 1.0: (3000, 512), 10.0: (3000, 512)}
PARTS = ("light_sb", "light_sb_full", "ours_as_many_drawn", "ours_same_steps", "ours")
DRAWN = 1_280_000
"""Points of each end that LightSB's notebook draws: 10,000 steps of 128."""
HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 16, 64])
    parser.add_argument("--epsilons", type=float, nargs="+", default=[0.1, 1.0, 10.0])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    options = parser.parse_args()
    commit = subprocess.run(
        ["git", "-C", options.peer, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    target = HERE / "results" / "peer_light_sb.json"
    for dim in options.dims:
        for epsilon in options.epsilons:
            new = run(dim, epsilon, options)
            old = json.loads(target.read_text())["runs"] if target.exists() else []
            runs = {(r["dim"], r["epsilon"]): r for r in old}
            runs[dim, epsilon] = {**runs.get((dim, epsilon), {}), **new}
            document = {"task": "the same pairs and samples", "peer_commit": commit,
                        "samples": SAMPLES, "runs": [runs[k] for k in sorted(runs)],
                        **provenance()}  # fmt: skip
            target.write_text(json.dumps(document, indent=1) + "\n")


def run(dim: int, epsilon: float, options: argparse.Namespace) -> dict:
    key = jax.random.key(0)
    pair = mixture_pair(dim, epsilon, key=key)
    keys = jax.random.split(jax.random.fold_in(key, 1), 5)
    a, va = (
        jax.random.normal(k, (n, dim)) for k, n in zip(keys[:2], (SAMPLES, HELD_OUT), strict=True)
    )
    b, vb = (pair.sample(k, n)[1] for k, n in zip(keys[2:4], (SAMPLES, HELD_OUT), strict=True))
    x0 = np.asarray(jax.random.normal(keys[4], (JUDGED, dim)))
    truth = pair.bridge.conditional_moments(x0)
    spread = float(np.asarray(b).var(axis=0).sum())

    def judged(means, covs) -> float:
        gap = bures_wasserstein(means, covs, truth[0], truth[1])
        return float(100.0 * gap.mean() / (0.5 * spread))

    def their_way(components: int, diagonal: bool) -> dict:
        with tempfile.TemporaryDirectory() as folder:
            given, back = Path(folder) / "given.npz", Path(folder) / "back.npz"
            np.savez(given, x0=np.asarray(a), x1=np.asarray(b), judged=x0, epsilon=epsilon,
                     components=components, diagonal=diagonal)  # fmt: skip
            script = [options.peer_python, str(HERE / "peer_light_sb_run.py"), options.peer]
            subprocess.run([*script, str(given), str(back)], check=True)
            found = np.load(back)
            return {"components": components, "drawn": DRAWN,
                    "cbw_uvp": judged(found["means"], found["covs"]),
                    "seconds": float(found["seconds"]),
                    "processor_seconds": float(found["processor_seconds"])}  # fmt: skip

    def our_way(steps: int, batch: int) -> dict:
        light = LightBridge(
            pair.bridge.reference, potential=GaussianPotential(10, "full"), blur=0.01
        )
        wall, processor = time.perf_counter(), time.process_time()
        fitted, _ = fit_bridge(
            light, a, b, val=(va, vb), key=key, steps=steps, batch_size=batch, learning_rate=RATE,
            progress=False,
        )  # fmt: skip
        spent = time.perf_counter() - wall, time.process_time() - processor
        return {"components": 10, "drawn": steps * batch,
                "cbw_uvp": judged(*fitted.conditional_moments(x0)), "seconds": spent[0],
                "processor_seconds": spent[1]}  # fmt: skip

    steps, batch = LENGTHS[epsilon]
    ways = {
        "light_sb": lambda: their_way(50, True),
        "light_sb_full": lambda: their_way(10, False),
        "ours_as_many_drawn": lambda: our_way(DRAWN // batch, batch),
        "ours_same_steps": lambda: our_way(10_000, 128),
        "ours": lambda: our_way(steps, batch),
    }
    row = {"dim": dim, "epsilon": epsilon, **{part: ways[part]() for part in options.parts}}
    row["load_average"] = os.getloadavg()[0]
    print(json.dumps(row), flush=True)
    return row


if __name__ == "__main__":
    main()
