"""Snapshots left out: bridges along a learned current beside splines, pairs and plain methods.

    python benchmarks/currents.py --seeds 3 --data-dir DIR

Of the members of each set 45 per cent train and 45 judge (those with labels with all their points;
100 a snapshot of the vortex, 150 of the other synthetic ones). Each inner snapshot is left out in
turn; what a method says of its time is compared with the members that judge
(``metrics.leave_one_out``: W₁ and W₂ with geodesic cost; floor: the training members at that time).
Settings of currents are chosen by inner snapshots of what is left. The noiseless splines are those
of ``spline_paths`` with ε = 10⁻¹²; ``momentum`` and ``best`` are those of ``fit_snapshots``, which
choose by inner snapshots of what is left. ``bridges`` are entropic pairs with pinned Brownian
motion at ``snapshot_rate``; ``mixture`` draws from the two neighbours by time.

Writes benchmarks/results/currents.json and docs/images/currents.png.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import jax
import numpy as np

from scorefold import data
from scorefold._provenance import provenance
from scorefold.bridges import (
    SnapshotMixture,
    fit_current,
    fit_snapshots,
    interpolate_snapshots,
    snapshot_rate,
    spline_paths,
)
from scorefold.data.laws.evolutions import vortex_velocity
from scorefold.metrics import leave_one_out

SETS = {"vortex": 222, "petal": 333, "bifurcation": 333, "curving-storms": 333, "hurricanes": None}
MOST = 300
"""Points of a snapshot that splines match: their assignments are cubic in it."""


def single(snapshots):
    return [np.asarray(p, np.float32) for p in snapshots.points]


def current(s, key):
    return fit_current(s.manifold, s.times, single(s), key=key)[0]


def splines(s, key, epsilon=None):
    n = min(MOST, min(map(len, s.points)))
    return spline_paths(s.manifold, s.times, single(s), epsilon, key=key, n=n)


def pairs(s, key, pairing, rate=0.0):
    return interpolate_snapshots(
        s.manifold, s.times, single(s), key=key, pairing=pairing, rate=rate
    )


def by_inner(s, key, method):
    return fit_snapshots(s.manifold, s.times, single(s), key=key, method=method)[0]


METHODS = {
    "best": lambda s, key: by_inner(s, key, "best"),
    "current": current,
    "momentum": lambda s, key: by_inner(s, key, "momentum"),
    "splines, no noise": lambda s, key: splines(s, key, 1e-12),
    "splines": splines,
    "optimal pairs": lambda s, key: pairs(s, key, "optimal"),
    "bridges": lambda s, key: pairs(
        s, key, "entropic", snapshot_rate(s.manifold, s.times, single(s))
    ),
    "random pairs": lambda s, key: pairs(s, key, "random"),
    "mixture": lambda s, key: SnapshotMixture(s.times, s.points),
    "previous snapshot": lambda s, key: SnapshotMixture(s.times, s.points, previous=True),
}


def parts_of(name, seed, data_dir):
    found = data.load_snapshots(name, seed=seed, n=SETS[name], data_dir=data_dir)
    train, _, test = found.split(seed, (0.45, 0.1, 0.45))
    return train, test


def measured(name, method, seed, data_dir):
    train, test = parts_of(name, seed, data_dir)
    key, started = jax.random.key(seed), time.perf_counter()
    rows = leave_one_out(train, test, lambda s: METHODS[method](s, key), key=key)
    seconds = time.perf_counter() - started
    mean = {n: float(np.mean([getattr(r, n) for r in rows]))
            for n in ("w1", "w2", "floor_w1", "floor_w2")}  # fmt: skip
    return {
        "data": name, "method": method, "seed": seed, **mean,
        "each": [r.w1 for r in rows], "seconds": seconds, "fits": len(rows),
    }  # fmt: skip


def picture(path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    train, test = parts_of("vortex", 0, None)
    rest = train.without(4)
    found, _ = fit_current(rest.manifold, rest.times, single(rest), key=jax.random.key(0))
    t = train.times[4]
    drawn = np.asarray(found.sample_at(jax.random.key(1), t, 100))
    lines = np.asarray(found.sample_paths(
        jax.random.key(2), single(rest)[0][:25], np.linspace(0.0, rest.times[-1], 120)
    ))  # fmt: skip
    grid = np.stack(np.meshgrid(np.linspace(-2.2, 3.2, 22), np.linspace(-2, 2.4, 18)), axis=-1)
    flat = grid.reshape(-1, 2).astype(np.float32)
    learned, true = np.asarray(found.velocity(t, flat)), vortex_velocity(flat)
    every = np.concatenate(rest.points)
    near = np.min(np.linalg.norm(flat[:, None] - every[None], axis=-1), axis=1) < 0.35
    figure, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
    for one, field, title in (
        (axes[0], learned, "learned current, where there are members"),
        (axes[1], true, "true current"),
    ):
        one.scatter(*every.T, s=3, color="0.8")
        some = near if one is axes[0] else np.ones(len(flat), bool)
        one.quiver(*flat[some].T, *field[some].T, angles="xy", scale=22, width=0.003)
        one.set_title(title)
    axes[2].plot(*lines.transpose(2, 1, 0), color="0.8", lw=0.6)
    axes[2].scatter(*test.points[4].T, s=10, label=f"members at t = {t:g}, never seen")
    axes[2].scatter(*drawn.T, s=10, label="law of the bridge there")
    axes[2].legend(loc="upper right", fontsize=8)
    axes[2].set_title("paths through the snapshots, and the one left out")
    for one in axes:
        one.set(xlim=(-2.3, 3.3), ylim=(-2.1, 2.5), aspect="equal")
    figure.savefig(path, dpi=110)
    return found.parts(single(rest))._asdict()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", default=Path(__file__).parent / "results" / "currents.json")
    parser.add_argument("--no-picture", action="store_true")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--methods", default=";".join(METHODS))
    arguments = parser.parse_args()
    out = Path(arguments.out)
    found = json.loads(out.read_text()) if out.exists() else {"runs": []}
    done = {(r["data"], r["method"], r["seed"]) for r in found["runs"]}
    for name in arguments.sets.split(","):
        for method in arguments.methods.split(";"):
            for seed in range(arguments.seeds):
                if (name, method, seed) in done:
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    run = measured(name, method, seed, arguments.data_dir)
                run["machine"] = provenance()
                found["runs"].append(run)
                out.write_text(json.dumps(found, indent=1) + "\n")
                print(f"{name:16} {method:18} {seed}  W1 {run['w1']:.4f}  floor "
                      f"{run['floor_w1']:.4f}  {run['seconds']:.0f} s", flush=True)  # fmt: skip
    if arguments.no_picture:
        return
    found["vortex_parts"] = picture(Path(__file__).parent.parent / "docs/images/currents.png")
    out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
