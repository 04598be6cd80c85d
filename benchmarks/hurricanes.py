"""Atlantic storms 0, 24, …, 120 hours after their first record, as snapshots on the sphere: a
snapshot left out, and the tracks of storms that were never seen.

    python benchmarks/hurricanes.py --seeds 3 --data-dir DIR

Storms are split into training, validation and test storms (45/10/45 per cent, no storm in two of
them): a tenth, 79 storms, is too few to tell good methods apart. Each of the snapshots at 24, 48,
72 and 96 hours is left out in turn: a method is given the positions of the training storms at the
other times, not which storm is which, and its law at the time left out is compared with the
positions of test storms (``metrics.leave_one_out``: W₂ and W₁ in radians, floor: the training
storms' positions at that time). The rate of the Brownian motion of each method that has one is the
one of RATES with the least mean W₂ to the positions of validation storms.

Tracks (``--parts tracks``): here 80 per cent of the storms train. Bridges through all snapshots of
the training storms walk DRAWS times from the true first position of each storm; the error is the
great-circle distance in kilometres of the true position from the mean of the draws (of their
vectors in space). Their bridges join the storms that are seen at both ends of an interval; their
rate is the one of TRACK_RATES with the least mean error for validation storms.

``--parts currents``: the same tracks, walked along a current that is learned from the snapshots of
all training storms (``fit_current``, ridge CURRENT_RIDGE, variance per hour CURRENT_RATE; its
length is the one of LENGTHS with the least mean error for validation storms).

``--parts growth``: 797 storms become 424. A current with growth to learn (``growth="learn"``) is
given the positions of training storms alone, not which of them are the same. Where it keeps growth,
g at these positions is compared with what it was not told, whether a storm is still there a day
later: the share of pairs of a survivor and a lost storm that are ordered rightly (AUC, 0.5 by
chance, its standard error by storms drawn anew).

Writes benchmarks/results/hurricanes.json and docs/images/hurricanes.png.
"""

from __future__ import annotations

import os

# Many short programs are compiled and run once: there is little to gain by optimising them.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

import equinox as eqx
import jax
import numpy as np

from scorefold import data
from scorefold._provenance import provenance
from scorefold.bridges import (
    HeatPotential,
    LightBridge,
    fit_current,
    fit_intervals,
    interpolate_snapshots,
)
from scorefold.manifolds import Euclidean, Sphere
from scorefold.metrics import leave_one_out

RATES = (2e-5, 8e-5, 3.2e-4)
"""Variance per hour, radians²; 2e-5 is √(24 · 2e-5) rad = 140 km in a day along each axis."""
TRACK_RATES = (2e-5, 8e-5, 3.2e-4)
LENGTHS, CURRENT_RIDGE, CURRENT_RATE = (0.5, 1.0, 2.0), 1e-2, 8e-5
SHARES, TRACK_SHARES = (0.45, 0.1, 0.45), (0.8, 0.1, 0.1)
EARTH_KM, DRAWS, COMPONENTS, STEPS = 6371.0, 64, 128, 300
BLUR, TAU = 2e-4, 2e-3
SPHERE = Sphere(2)


# -- methods: snapshots in, an object with sample_at(key, t, n) out -------------------------------
class Chained:
    """Light bridges on the sphere, of the interval that is asked for: the reference is Markov, so
    the law at a time does not depend on snapshots beyond its two neighbours."""

    fitted: ClassVar[dict] = {}

    def __init__(self, snapshots, *, val, rate, seed, survivors=False):
        self.snapshots, self.val = snapshots, val
        self.rate, self.seed, self.survivors = rate, seed, survivors

    def sample_at(self, key, t, n):
        k = int(np.searchsorted(self.snapshots.times, t)) - 1
        return interval(self.snapshots, self.val, k, self.rate, self.seed, self.survivors)[
            0
        ].sample_at(key, t, n)


def interval(snapshots, val, k, rate, seed, survivors=False):
    """The bridge of snapshots k and k + 1, fitted once."""
    part = slice(k, k + 2)
    name = (snapshots.times[part], rate, seed, survivors)
    if name not in Chained.fitted:
        Chained.fitted[name] = fit_intervals(
            SPHERE, snapshots.times[part], single(snapshots.points[part]),
            val=single(val.points[part]), ids=snapshots.ids[part], val_ids=val.ids[part],
            survivors=survivors, rate=rate,
            key=jax.random.key(seed), steps=STEPS, progress=False,
            bridge=lambda r: LightBridge(r, potential=HeatPotential(COMPONENTS, TAU), blur=BLUR),
        )  # fmt: skip
        forget()
    return Chained.fitted[name]


def forget() -> None:
    """Drop compiled programs: each fit has its own, and a process may hold only so many."""
    jax.clear_caches()
    eqx.clear_caches()


def single(points):
    return [np.asarray(rows, np.float32) for rows in points]


def chart(points):
    """Longitude and latitude in radians."""
    return [
        np.stack([np.arctan2(x[:, 1], x[:, 0]), np.arcsin(x[:, 2])], axis=1).astype(np.float32)
        for x in points
    ]


class InChart:
    """The same on the plane of longitude and latitude (radians)."""

    fitted: ClassVar[dict] = {}

    def __init__(self, snapshots, *, val, rate, seed):
        self.snapshots, self.val, self.rate, self.seed = snapshots, val, rate, seed

    def sample_at(self, key, t, n):
        k = int(np.searchsorted(self.snapshots.times, t)) - 1
        part = slice(k, k + 2)
        name = (self.snapshots.times[part], self.rate, self.seed)
        if name not in InChart.fitted:
            InChart.fitted[name], _ = fit_intervals(
                Euclidean(2), self.snapshots.times[part], chart(self.snapshots.points[part]),
                val=chart(self.val.points[part]), rate=self.rate, key=jax.random.key(self.seed),
                bridge=lambda r: LightBridge(r, blur=BLUR), steps=STEPS, progress=False,
            )  # fmt: skip
            forget()
        lon, lat = np.asarray(InChart.fitted[name].sample_at(key, t, n), np.float64).T
        return np.asarray(SPHERE.from_latlon(np.degrees(np.clip(lat, -1.5, 1.5)), np.degrees(lon)))


def interpolated(snapshots, *, seed, val=None, rate=0.0, pairing="optimal"):
    forget()
    return interpolate_snapshots(
        SPHERE, snapshots.times, single(snapshots.points), key=jax.random.key(seed),
        pairing=pairing, rate=rate,
    )  # fmt: skip


# name: (method, whether it has a rate to choose). A spline with free velocities is one more line:
#   "kinetic splines": (lambda snapshots, *, val, rate, seed: …, True)
METHODS = {
    "chained light bridges": (Chained, True),
    "light bridges in longitude and latitude": (InChart, True),
    "entropic pairs, pinned Brownian motion": (partial(interpolated, pairing="entropic"), True),
    "optimal pairs, geodesics": (interpolated, False),
    "random pairs, geodesics": (partial(interpolated, pairing="random"), False),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    snapshots = data.load_snapshots("hurricanes", data_dir=options.data_dir)
    document = json.loads(TARGET.read_text()) if TARGET.exists() else {}
    for part in options.parts:
        runs = []
        for seed in range(options.seeds):
            runs.append(PARTS[part][0](snapshots, seed))
            document[part] = {"mean": PARTS[part][1](runs), "runs": runs, **provenance()}
            write(document)
        print(json.dumps(document[part]["mean"], indent=1))


def write(document: dict) -> None:
    document |= {
        "task": "hurricanes on S^2, a snapshot left out; tracks of test storms",
        "shares": {"left out": SHARES, "tracks": TRACK_SHARES},
        "rates": {"left out": RATES, "tracks": TRACK_RATES},
        "components": COMPONENTS,
        "steps": STEPS,
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n")


def summary(runs) -> dict:
    mean = statistics.fmean
    left_out = {
        name: {
            key: mean(row[key] for r in runs for row in r["left_out"][name]["snapshots"])
            for key in ("w2", "w1", "energy", "floor_w2", "floor_w1", "floor_energy")
        }
        for name in runs[0]["left_out"]
    }
    for name, row in left_out.items():
        each = [mean(s["w2"] for s in r["left_out"][name]["snapshots"]) for r in runs]
        row["w2_std_over_seeds"] = statistics.stdev(each) if len(each) > 1 else None
        row["w2_at_hours"] = {
            f"{at['time']:g}": mean(r["left_out"][name]["snapshots"][j]["w2"] for r in runs)
            for j, at in enumerate(runs[0]["left_out"][name]["snapshots"])
        }
    return left_out


def summary_of_tracks(runs) -> dict:
    return {
        name: {hour: statistics.fmean(r["tracks_km"][name][hour] for r in runs) for hour in row}
        for name, row in runs[0]["tracks_km"].items()
    }


def left_out(snapshots, seed: int) -> dict:
    train, val, test = snapshots.split(seed, SHARES)
    inner = range(1, len(train.times) - 1)
    found = {}
    for name, (method, has_rate) in METHODS.items():
        started = time.process_time()

        def judged(held, which, rate, key, method=method):
            """``held`` storms at the left-out times, parameters by validation storms."""
            rows = []
            for k in which:
                fit = partial(method, val=val.without(k), seed=seed, **rate)
                rows += leave_one_out(train, held, fit, key=jax.random.key(key), which=[k])
            return rows

        tried = {}
        for rate in RATES if has_rate else ():
            rows = judged(val, inner, {"rate": rate}, seed + 100)
            tried[rate] = statistics.fmean(row.w2 for row in rows)
        best = {"rate": min(tried, key=tried.get)} if tried else {}
        rows = judged(test, inner, best, seed + 200)
        found[name] = {
            "rate": best.get("rate"),
            "validation_w2_of_rates": tried,
            "snapshots": [row._asdict() for row in rows],
            "processor_seconds": time.process_time() - started,
        }
        mean, floor = (statistics.fmean(getattr(r, f) for r in rows) for f in ("w2", "floor_w2"))
        print(seed, name, best, f"W2 {mean:.4f} floor {floor:.4f}", tried, flush=True)
    return {"seed": seed, "left_out": found, "load_average": os.getloadavg()[0]}


# -- tracks ----------------------------------------------------------------------------------------
def tracks(snapshots, seed: int) -> dict:
    started = time.process_time()
    train, val, test = snapshots.split(seed, TRACK_SHARES)
    tried = {}
    for rate in TRACK_RATES:
        errors, _ = follow(train, val, val, rate, seed)
        tried[rate] = statistics.fmean(errors["chained light bridges of survivors"].values())
    rate = min(tried, key=tried.get)
    errors, drawn = follow(train, val, test, rate, seed)
    print(seed, rate, tried, json.dumps(errors), flush=True)
    if seed == 0:
        draw(test, drawn)
    return {"seed": seed, "rate": rate, "validation_km_of_rates": tried, "tracks_km": errors,
            "processor_seconds": time.process_time() - started,
            "load_average": os.getloadavg()[0]}  # fmt: skip


def follow(train, val, test, rate: float, seed: int) -> tuple[dict, np.ndarray]:
    """Mean errors in km by method and hours, and the draws of the first method, shape
    (storms, DRAWS, times, 3)."""
    first = test.points[0]
    count = len(first)
    starts = np.repeat(first, DRAWS, axis=0).astype(np.float32)
    predicted = {}
    states, now = [starts], starts
    for k in range(len(train.times) - 1):
        bridge, _ = interval(train, val, k, rate, seed, survivors=True)
        key = jax.random.fold_in(jax.random.key(seed + 300), k)
        now = np.asarray(bridge.sample_paths(key, now, [train.times[k + 1]])[:, 0])
        states.append(now)
    chained = "chained light bridges of survivors"
    predicted[chained] = np.stack(states, axis=1).reshape(count, DRAWS, -1, 3)
    # The same with optimal pairs: a storm moves as the nearest training storm of its snapshot.
    pairs = interpolated(train, seed=seed).pairs
    states, now = [first], np.asarray(first)
    for x, y in pairs:
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        near = np.argmax(now @ x.T, axis=1)
        step = jax.vmap(SPHERE.log)(x[near], y[near])
        now = np.asarray(jax.vmap(lambda a, b, v: SPHERE.exp(b, SPHERE.transport(a, b, v)))(
            x[near], now.astype(np.float32), step))  # fmt: skip
        states.append(now)
    predicted["optimal pairs of the nearest storm"] = np.stack(states, axis=1)[:, None]
    predicted["where it began"] = np.repeat(first[:, None], len(train.times), axis=1)[:, None]
    return {name: track_errors(test, paths) for name, paths in predicted.items()}, predicted[
        chained
    ]


def track_errors(test, paths: np.ndarray) -> dict:
    """Mean distance in km by hours of the true positions from the mean of predicted paths, shape
    (storms, draws, times, 3)."""
    middle = paths.mean(axis=1)
    middle = middle / np.linalg.norm(middle, axis=-1, keepdims=True)
    found = {}
    for k, hours in enumerate(test.times):
        if k:
            here = np.isin(test.ids[0], test.ids[k])
            order = np.argsort(test.ids[k])
            rows = order[np.searchsorted(test.ids[k][order], test.ids[0][here])]
            apart = great_circle(middle[here, k], test.points[k][rows])
            found[f"{hours:g}"] = float(apart.mean())
    return found


def currents(snapshots, seed: int) -> dict:
    started = time.process_time()
    train, val, test = snapshots.split(seed, TRACK_SHARES)
    tried, laws = {}, {}
    for length in LENGTHS:
        laws[length], _ = fit_current(
            SPHERE, train.times, single(train.points), key=jax.random.key(seed), length=length,
            ridge=CURRENT_RIDGE, rate=CURRENT_RATE,
        )  # fmt: skip
        tried[length] = statistics.fmean(along(laws[length], val, seed).values())
    length = min(tried, key=tried.get)
    errors = {"current": along(laws[length], test, seed)}
    print(seed, length, tried, json.dumps(errors), flush=True)
    return {"seed": seed, "length": length, "validation_km_of_lengths": tried,
            "tracks_km": errors, "processor_seconds": time.process_time() - started,
            "load_average": os.getloadavg()[0]}  # fmt: skip


def growth(snapshots, seed: int) -> dict:
    started = time.process_time()
    train, _, _ = snapshots.split(seed, TRACK_SHARES)
    law, history = fit_current(
        SPHERE, train.times, single(train.points), key=jax.random.key(seed), length=LENGTHS[1],
        ridge=CURRENT_RIDGE, growth="learn",
    )  # fmt: skip
    kept = law.intervals[0].growth is not None
    found = {"seed": seed, "kept": kept, "trials": [t._asdict() for t in history.trials],
             "processor_seconds": time.process_time() - started}  # fmt: skip
    if kept:
        found |= survivors_told(law, train, seed)
    print(json.dumps(found), flush=True)
    return found


def survivors_told(law, storms, seed: int) -> dict:
    """AUC of g at storms for being in the next snapshot, over all intervals."""
    score, kept, storm = [], [], []
    for k, ids in enumerate(storms.ids[:-1]):
        g = np.asarray(law.intervals[k].growth[0])
        assert len(g) == len(ids)
        score.append(g)
        kept.append(np.isin(ids, storms.ids[k + 1]))
        storm.append(ids)
    score, kept, storm = (np.concatenate(parts) for parts in (score, kept, storm))
    rng, names = np.random.default_rng(seed), np.unique(storm)
    rows_of = {name: np.flatnonzero(storm == name) for name in names}
    again = []
    for _ in range(200):
        rows = np.concatenate([rows_of[name] for name in rng.choice(names, len(names))])
        again.append(auc(score[rows], kept[rows]))
    return {"auc": auc(score, kept), "auc_error": float(np.std(again)), "rows": len(kept),
            "lost": int((~kept).sum())}  # fmt: skip


def auc(score, kept) -> float:
    from scipy.stats import rankdata

    ranks, n, m = rankdata(score), int(kept.sum()), int((~kept).sum())
    return float((ranks[kept].sum() - n * (n + 1) / 2) / (n * m))


def summary_of_growth(runs) -> dict:
    told = [r["auc"] for r in runs if r["kept"]]
    return {"kept": sum(r["kept"] for r in runs), "auc": statistics.fmean(told) if told else None,
            "reason": None if told else "inner snapshots kept no growth"}  # fmt: skip


def along(law, storms, seed: int) -> dict:
    starts = np.repeat(storms.points[0], DRAWS, axis=0).astype(np.float32)
    paths = law.sample_paths(jax.random.key(seed + 300), starts, list(storms.times))
    return track_errors(storms, np.asarray(paths).reshape(-1, DRAWS, len(storms.times), 3))


def great_circle(x, y) -> np.ndarray:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    gap, sum_ = np.linalg.norm(x - y, axis=-1), np.linalg.norm(x + y, axis=-1)
    return EARTH_KM * 2 * np.arctan2(gap, sum_)


def draw(test, drawn: np.ndarray) -> None:
    """Tracks of six test storms seen to the last snapshot, and draws that began where they did."""
    from matplotlib.collections import LineCollection

    from scorefold.report.maps import Globe
    from scorefold.report.panels import BLUE, ORANGE, new_figure

    tracks, names = test.paths()
    order = np.argsort(names)
    shown = order[np.linspace(0, len(order) - 1, 6).astype(int)]
    figure = new_figure(10.0, 6.4)
    view = Globe(lat=27.0, lon=-60.0)
    for axes, storm in zip(figure.subplots(2, 3).ravel(), shown, strict=True):
        view.decorate(axes, filled=False)
        row = int(np.flatnonzero(test.ids[0] == names[storm])[0])
        for lines, colour, width, alpha in ((drawn[row], BLUE, 0.6, 0.35),
                                            (tracks[storm][None], ORANGE, 2.2, 1.0)):  # fmt: skip
            xy = view.project(np.asarray(lines, np.float64).reshape(-1, 3))[0]
            xy = xy.reshape(*lines.shape[:2], 2)
            axes.add_collection(
                LineCollection(list(xy), colors=colour, lw=width, alpha=alpha, zorder=4),
                autolim=False,
            )
            axes.plot(*xy[:, -1].T, "o", color=colour, ms=4 * width**0.5, alpha=alpha, zorder=5)
        axes.plot(*view.project(tracks[storm][:1])[0].T, "k.", ms=7, zorder=6)
        axes.set(xlim=(-0.5, 0.72), ylim=(-0.42, 0.5))
        axes.set_title(f"storm {names[storm]}", fontsize=9)
    figure.suptitle("120 hours of storms never seen (orange) and of the bridge (blue)", fontsize=11)
    target = Path(__file__).parents[1] / "docs" / "images" / "hurricanes.png"
    figure.savefig(target, dpi=110)


PARTS = {
    "left-out": (left_out, summary),
    "tracks": (tracks, summary_of_tracks),
    "currents": (currents, summary_of_tracks),
    "growth": (growth, summary_of_growth),
}
TARGET = Path(__file__).parent / "results" / "hurricanes.json"


if __name__ == "__main__":
    main()
