"""Light bridges on the sphere: earthquakes to fires and back, judged on held-out points.

    python benchmarks/light_earth.py --seeds 8 --data-dir DIR

For each seed both sets are split (protocol grouped), S and the number of kernels are fixed, the
parameters are chosen on the validation points, and the test points of one end are carried to the
other. W₁ with geodesic cost between n bridged draws and n test points stands beside the floor, W₁
between n other points of that end (of its training part) and the same n test points: both sides of
the comparison see the same test points. Four draws are made from each test point; values are means
over random choices of the n points, whose W₁ scatters by a quarter (the points come in clumps).
``seen``: the same from as many training points of the first end. It is told apart because the
test points of that end are themselves a draw of few clumps, which a bridge hands on to the other.
The number of kernels is the one of 256, 600 and 1500 with the least loss on validation points of
two seeds. ``ratio_error``: standard error of the mean ratio over seeds. Writes
benchmarks/results/light_earth.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from pathlib import Path

import jax
import numpy as np

from scorefold import data
from scorefold._provenance import provenance
from scorefold.bridges import HeatPotential, LightBridge, brownian_reference, fit_bridge
from scorefold.metrics import transport_distance

VARIANCE, COMPONENTS, DRAWS, REPEATS = 0.1, 600, 30, 4
ENDS = ("to_fire", "to_earthquake", "to_fire_seen", "to_earthquake_seen")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--protocol", default="grouped")
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    runs = [run(seed, options) for seed in range(options.seeds)]
    means = {}
    for end in ENDS:
        means[end] = {k: statistics.fmean(r[end][k] for r in runs) for k in runs[0][end]}
        if len(runs) > 1:
            each = [r[end]["ratio"] for r in runs]
            means[end]["ratio_error"] = statistics.stdev(each) / len(each) ** 0.5
    document = {
        "task": "earthquake <-> fire on S^2",
        "protocol": options.protocol,
        "variance": VARIANCE,
        "components": COMPONENTS,
        "mean": means,
        "training_seconds": statistics.fmean(r["training_seconds"] for r in runs),
        "training_processor_seconds": statistics.fmean(r["processor_seconds"] for r in runs),
        "runs": runs,
        **provenance(),
    }
    target = Path(__file__).parent / "results" / "light_earth.json"
    target.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(means, indent=1))


def run(seed: int, options: argparse.Namespace) -> dict:
    more = {} if options.data_dir is None else {"data_dir": options.data_dir}
    a, b = (
        data.load(name, protocol=options.protocol, seed=seed, **more)
        for name in ("earthquake", "fire")
    )
    bridge = LightBridge(
        brownian_reference(a.manifold, VARIANCE), potential=HeatPotential(COMPONENTS)
    )
    wall, processor = time.perf_counter(), time.process_time()
    bridge, history = fit_bridge(
        bridge, a.train, b.train, val=(a.val, b.val), key=jax.random.key(seed), progress=False
    )
    spent = {"training_seconds": time.perf_counter() - wall,
             "processor_seconds": time.process_time() - processor}  # fmt: skip
    rng = np.random.default_rng(seed)
    ends = {}
    for k, suffix in enumerate(("", "_seen")):
        starts, lasts = (
            np.repeat(np.asarray(d.test), REPEATS, axis=0)
            if not suffix
            else np.asarray(d.train)[rng.permutation(len(d.train))[: REPEATS * len(d.test)]]
            for d in (a, b)
        )
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), k + 1))
        there, back = bridge.sample_forward(keys[0], starts), bridge.sample_backward(keys[1], lasts)
        ends["to_fire" + suffix] = judged(a.manifold, there, b, a.test, seed)
        ends["to_earthquake" + suffix] = judged(a.manifold, back, a, b.test, seed)
    found = {
        "seed": seed,
        **spent,
        "compile_seconds": history.compile_seconds,
        "steps": history.steps,
        "best_step": history.best_step,
        "blur_median": float(np.median(bridge.start.blur)),
        "load_average": os.getloadavg()[0],
        **ends,
    }
    print(json.dumps(found), flush=True)
    return found


def judged(manifold, bridged, end, unbridged, seed: int) -> dict:
    rng = np.random.default_rng(seed)
    sets = [np.asarray(x) for x in (bridged, end.train, unbridged)]
    test, n = np.asarray(end.test), min(500, len(end.test), len(bridged), len(unbridged))
    values = []
    for _ in range(DRAWS):
        held = test[rng.permutation(len(test))[:n]]
        values.append(
            [transport_distance(manifold, x[rng.permutation(len(x))[:n]], held, 1) for x in sets]
        )
    bridged_w1, floor, apart = np.mean(values, axis=0)
    ratio = np.array([v[0] / v[1] for v in values])
    return {"n": n, "w1": float(bridged_w1), "floor": float(floor), "unbridged": float(apart),
            "ratio": float(bridged_w1 / floor),
            "ratio_std_over_draws": float(ratio.std(ddof=1))}  # fmt: skip


if __name__ == "__main__":
    main()
