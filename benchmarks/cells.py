"""Cells at a few times: every method on embryoid bodies and on CITE-seq days, by rules that see
nothing of what they are asked.

    python benchmarks/cells.py --seeds 3 --data-dir DIR

``embryoid`` (five times, five components, 300 cells drawn with replacement a time, 49 per cent
train and as many judge): all snapshots train; cells of the snapshot before that judge are carried
to each next one, W₁ to those that judge there (mean over the four steps; published with other and
more cells of the same experiment, whitened: .71 to .78); floor: training cells there.

``cite`` (days 2, 3, 4 and 7, 50 components; 600 cells a day train, 1,500 judge): each of days 3 and
4 left out; energy distance, half of 2E|X − Y| − E|X − X'| − E|Y − Y'|, and W₁ of 600 draws to 600
cells that judge. ``cite-all``: the same where all other cells train (4,571 a day), by what is quick
with so many; 1,500 draws are compared with 1,500 cells.

``time``: seconds that ``fit_snapshots`` takes for 7,000 cells of each of the four days (6,071 of
the first) in 50 dimensions, and the largest memory.

Writes benchmarks/results/cells.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
import warnings
from pathlib import Path

import jax
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from scorefold import data
from scorefold._provenance import provenance
from scorefold.bridges import SnapshotMixture, fit_snapshots, interpolate_snapshots

TARGET = Path(__file__).parent / "results" / "cells.json"
METHODS = ("best", "bridge", "current", "momentum", "spline")
PLAIN = ("optimal pairs", "random pairs", "mixture")
TRAIN, JUDGE, DRAWS = 600, 1500, 600
ALL = 4571
"""Of the 6,071 cells of the first day, less those that judge."""


def w1(x, y):
    n = min(len(x), len(y))
    apart = cdist(x[:n], y[:n])
    i, j = linear_sum_assignment(apart)
    return float(apart[i, j].mean())


def energy(x, y):
    own = cdist(x, x).sum() / (len(x) * (len(x) - 1))
    other = cdist(y, y).sum() / (len(y) * (len(y) - 1))
    return float(cdist(x, y).mean() - 0.5 * (own + other))


def fitted(method, snapshots, key):
    points = [np.asarray(p, np.float32) for p in snapshots.points]
    given = snapshots.manifold, snapshots.times, points
    if method in ("optimal pairs", "random pairs"):
        return interpolate_snapshots(*given, key=key, pairing=method.split()[0])
    if method == "mixture":
        return SnapshotMixture(snapshots.times, points)
    more = {"progress": False, "check": False} if method == "bridge" else {}
    return fit_snapshots(*given, key=key, method=method, **more)[0]


def embryoid(seed, data_dir):
    found = data.load_snapshots("embryoid", data_dir=data_dir)
    train, _, judge = found.split(seed, (0.49, 0.02, 0.49))
    key, rows = jax.random.key(seed), {}
    later = judge.points[1:]
    for name, before in (("floor", train.points[1:]), ("unbridged", judge.points[:-1])):
        rows[name] = {"each": [w1(a, b) for a, b in zip(before, later, strict=True)]}
    for method in METHODS:
        started = time.perf_counter()
        law, each = fitted(method, train, key), []
        seconds = time.perf_counter() - started
        for k, (low, high) in enumerate(zip(train.times[:-1], train.times[1:], strict=True)):
            start = judge.points[k].astype(np.float32)
            there = np.asarray(law.sample_paths(key, start, [high], start=low))[:, 0]
            each.append(w1(there, judge.points[k + 1]))
        rows[method] = {"each": each, "seconds": seconds}
    for row in rows.values():
        row["w1"] = float(np.mean(row["each"]))
    return rows


def cite(seed, data_dir, methods=("floor", *METHODS, *PLAIN), count=TRAIN, draws=DRAWS):
    found = data.load_snapshots("cite", data_dir=data_dir)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(n) for n in found.mass]
    train = found.rows([o[:count] for o in orders])
    judge = found.rows([o[count : count + JUDGE] for o in orders])
    rows = {}
    for method in methods:
        started, each = time.perf_counter(), []
        for k in (1, 2):
            t, key = train.times[k], jax.random.key(seed)
            if method == "floor":
                drawn = train.points[k]
            else:
                drawn = np.asarray(fitted(method, train.without(k), key).sample_at(key, t, draws))
            real = judge.points[k]
            each.append({"energy": energy(drawn, real), "w1": w1(drawn, real)})
        rows[method] = {
            name: float(np.mean([one[name] for one in each])) for name in ("energy", "w1")
        } | {"each": each, "seconds": time.perf_counter() - started}
        print(method, rows[method]["energy"], rows[method]["w1"], flush=True)
    return rows


def cite_all(seed, data_dir):
    methods = ("floor", "bridge", "mixture")
    return cite(seed, data_dir, methods, ALL, JUDGE)


def timed(seed, data_dir):
    found = data.load_snapshots("cite", data_dir=data_dir)
    points = [np.asarray(p[:7000], np.float32) for p in found.points]
    rows = {}
    for method in ("current", "best"):
        started = time.perf_counter()
        law, history = fit_snapshots(
            found.manifold, found.times, points, key=jax.random.key(seed), method=method
        )
        fitted_in = time.perf_counter() - started
        law.sample_at(jax.random.key(1), 3.5, 2000)
        rows[method] = {
            "taken": history.method, "seconds": fitted_in,
            "seconds_of_2000_draws": time.perf_counter() - started - fitted_in,
            "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            "load_average": os.getloadavg()[0],
        }  # fmt: skip
        print(method, rows[method], flush=True)
    return rows


PARTS = {"embryoid": embryoid, "cite": cite, "cite-all": cite_all, "time": timed}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    document = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    for part in options.parts:
        for seed in range(options.seeds):
            runs = document.setdefault(part, {})
            if str(seed) in runs:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                runs[str(seed)] = {"rows": PARTS[part](seed, options.data_dir), **provenance()}
            TARGET.write_text(json.dumps(document, indent=1) + "\n")
        mean = {
            method: float(np.mean([r["rows"][method][name] for r in document[part].values()]))
            for name in ({"embryoid": "w1", "time": "seconds"}.get(part, "energy"),)
            for method in document[part]["0"]["rows"]
        }
        print(part, json.dumps(mean, indent=1))


if __name__ == "__main__":
    main()
