"""Samples against the number of steps: a bridge and a plain score model.

    python benchmarks/bridge_short.py --seeds 3
    python benchmarks/bridge_short.py --draw       # the picture, from the file

Data to noise and back in N steps. The score model runs Ornstein–Uhlenbeck noise to its end
(default noising, standardised data) and comes back from N(0, I) on the library's refined grid. The
bridge joins the data to the same N(0, I), in standardised coordinates, by Brownian motion of
variance ``--variance``. Same network, same number of training examples, and each model with noise
(``bridge``, ``score``) and by its probability flow by Heun's method (``bridge_flow``,
``score_flow``). ``light`` is a light bridge from N(0, I) to the data, which draws X₁ given X₀
exactly, in any number of steps.
``score_best`` is the least distance that the score model has at N steps over both samplers and
grids that end at s = 1e-4 (the default), 1e-3 and 1e-2 (with the mean of the last noise taken
off), chosen by the distance reported: more than can be had in use.

A step with noise is one evaluation of the score network; of the bridge one evaluation and a
derivative along the noise, about two. A step of a flow is two evaluations of one network (score) or
of two networks (bridge).

Distances of 10,000 samples from as many fresh points of the law, in units of the data:

- ``energy``: √(2E|X − Y| − E|X − X'| − E|Y − Y'|), all means over all pairs, from projections to 32
  directions (in the plane E|x| is π/2 times the mean length of projections);
- ``w2``: exact W₂ of the first 1,024 of each.

Each has its floor, the mean distance of five fresh samples. ``needed`` is the smallest N in the
table from which on the mean energy distance is at most 1.5 floors.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import scorefold as sf
from scorefold._provenance import provenance
from scorefold.bridges import (
    BridgeMatching,
    GaussianPotential,
    LightBridge,
    brownian_reference,
    fit_bridge,
)
from scorefold.data.laws.flat import eight_gaussians, moons, swissroll
from scorefold.metrics.wasserstein import transport_distance
from scorefold.models import FittedScoreModel
from scorefold.samplers import HeunFlowStep, ProbabilityFlow, refined_grid, sample_reverse, walk

OUT = Path(__file__).parent / "results" / "bridge_short.json"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "short_processes.png"
LAWS = {"eight": eight_gaussians, "moons": moons, "swissroll": swissroll}
COUNTS = (2, 5, 10, 20, 50, 100)
METHODS = ("light", "bridge", "bridge_flow", "score", "score_flow", "score_best")
ENDS = (1e-3, 1e-2)
COMPONENTS, LIGHT = 100, {"steps": 2000, "learning_rate": 3e-3, "batch_size": 512}
"""Chosen by the loss on validation points of both laws."""
N, JUDGED, EXACT, FRESH, NEAR = 10_000, 10_000, 1024, 5, 1.5
PLANE = sf.Euclidean(2)


def measure(name: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    law = LAWS[name]()
    keys = jax.random.split(jax.random.key(seed), 8)
    data, fresh = law.sample(keys[0], N), np.asarray(law.sample(keys[1], JUDGED))
    network = sf.NetworkSpec(width=128, depth=3, fourier=args.fourier, frequency=2.0)
    since = time.process_time()
    score, _ = sf.fit(
        sf.ScoreModel(sf.default_noising(PLANE, data), network=network), data, key=keys[3],
        steps=args.half_steps * args.steps, batch_size=args.batch,
        learning_rate=args.rate, progress=False,
    )  # fmt: skip
    score_seconds = time.process_time() - since
    since = time.process_time()
    mean, scale = jnp.mean(data, axis=0, keepdims=True), jnp.std(data, axis=0, keepdims=True)
    noise = jax.random.normal(keys[4], (N, 2), data.dtype)
    bridge = BridgeMatching(brownian_reference(PLANE, args.variance), network=network)
    bridge, _ = fit_bridge(
        bridge, (data - mean) / scale, noise, key=keys[5], half_steps=args.half_steps,
        steps=args.steps, batch_size=args.batch, learning_rate=args.rate, progress=False,
    )  # fmt: skip
    bridge_seconds = time.process_time() - since
    since = time.process_time()
    light = LightBridge(
        brownian_reference(PLANE, args.variance), potential=GaussianPotential(COMPONENTS, "full")
    )
    light, _ = fit_bridge(
        light, noise, (data - mean) / scale, key=jax.random.fold_in(keys[5], 1), progress=False,
        **LIGHT,
    )  # fmt: skip
    light_seconds = time.process_time() - since
    start = jax.random.normal(keys[6], (JUDGED, 2), data.dtype)
    rows: dict[str, Any] = {method: {"energy": {}, "w2": {}} for method in METHODS}
    del rows["score_best"]["w2"]
    for count in COUNTS:
        draws = {
            "light": mean + scale * light.sample_forward(keys[7], start, steps=count),
            "bridge": mean + scale * bridge.sample_backward(keys[7], start, steps=count),
            "bridge_flow": mean + scale * bridge.flow(start, direction="backward", steps=count),
            "score": score.sample(keys[7], JUDGED, method="sde", steps=count),
            "score_flow": score_flow(score, start, count, score.s_min),
        }
        found = {k: distances(np.asarray(x), fresh) for k, x in draws.items()}
        rivals = [found["score"]["energy"], found["score_flow"]["energy"]]
        for end in ENDS:
            rivals.append(energy(np.asarray(score_noisy(score, keys[7], count, end)), fresh))
            rivals.append(energy(np.asarray(score_flow(score, start, count, end)), fresh))
        found["score_best"] = {"energy": min(rivals)}
        for method, values in found.items():
            for kind, value in values.items():
                rows[method][kind][str(count)] = value
    others = [
        distances(np.asarray(law.sample(jax.random.fold_in(keys[2], k), JUDGED)), fresh)
        for k in range(FRESH)
    ]
    floor = {kind: float(np.mean([d[kind] for d in others])) for kind in others[0]}
    return {**rows, "floor": floor, "score_seconds": score_seconds,
            "bridge_seconds": bridge_seconds, "light_seconds": light_seconds,
            "seed": seed}  # fmt: skip


def score_flow(score: FittedScoreModel, start: jax.Array, count: int, end: float) -> jax.Array:
    """The probability flow of a score model by Heun's method, on the grid of its sampler."""
    grid = refined_grid(score.s_max, end, count, start.dtype)
    return score._outer(
        _run(HeunFlowStep(ProbabilityFlow(score.noising, score.field)), start, grid)
    )


def score_noisy(score: FittedScoreModel, key: jax.Array, count: int, end: float) -> jax.Array:
    x = sample_reverse(
        score.noising, score.field, key, JUDGED, steps=count, s_min=end, s_max=score.s_max,
        denoised=True,
    )  # fmt: skip
    return score._outer(x)


@eqx.filter_jit
def _run(step: HeunFlowStep, start: jax.Array, grid: jax.Array) -> jax.Array:
    return jax.vmap(lambda x: walk(step, jax.random.key(0), x, grid))(start)


def distances(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    exact = transport_distance(PLANE, x[:EXACT], y[:EXACT])
    return {"energy": energy(x, y), "w2": exact}


def energy(x: np.ndarray, y: np.ndarray, directions: int = 32) -> float:
    """√(2E|X − Y| − E|X − X'| − E|Y − Y'|) of two samples of equal size in the plane: on a line it
    is 2∫(F − G)², F and G the empirical distribution functions."""
    angle = np.pi * (np.arange(directions) + 0.5) / directions
    u = np.stack([np.cos(angle), np.sin(angle)])
    lines = np.concatenate([x, y]).astype(np.float64) @ u
    sign = np.concatenate([np.full(len(x), 1.0 / len(x)), np.full(len(y), -1.0 / len(y))])
    order = np.argsort(lines, axis=0)
    apart = np.cumsum(sign[order], axis=0)[:-1]
    gaps = np.diff(np.take_along_axis(lines, order, axis=0), axis=0)
    return float(np.sqrt(0.5 * np.pi * np.mean(np.sum(2.0 * apart**2 * gaps, axis=0))))


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and the steps each method needs."""
    floor = {k: float(np.mean([r["floor"][k] for r in runs])) for k in ("energy", "w2")}
    mean: dict[str, Any] = {"floor": floor, "needed": {}}
    for method in METHODS:
        mean[method] = {
            kind: {str(c): float(np.mean([r[method][kind][str(c)] for r in runs])) for c in COUNTS}
            for kind in runs[0][method]
        }
        # Counted from the end: from the smallest N on, all are near.
        near = [mean[method]["energy"][str(c)] <= NEAR * floor["energy"] for c in COUNTS]
        away = [k for k, good in enumerate(near) if not good]
        first = away[-1] + 1 if away else 0
        mean["needed"][method] = COUNTS[first] if first < len(COUNTS) else None
    return mean


def draw(table: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = [name for name in LAWS if name in table]
    titles = {"eight": "eight Gaussians", "moons": "moons", "swissroll": "Swiss roll"}
    styles = {
        "light": ("C2", "-", "light bridge"),
        "bridge": ("C0", "-", "bridge"), "bridge_flow": ("C0", "--", "bridge, flow"),
        "score": ("C1", "-", "score model"), "score_flow": ("C1", "--", "score model, flow"),
        "score_best": ("C1", ":", "score model, best"),
    }  # fmt: skip
    figure, axes = plt.subplots(1, len(names), figsize=(4.2 * len(names), 3.4), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        for method, (colour, line, label) in styles.items():
            runs = np.array(
                [[r[method]["energy"][str(c)] for c in COUNTS] for r in table[name]["runs"]]
            )
            axis.plot(COUNTS, runs.mean(axis=0), line, color=colour, label=label, marker=".")
            axis.fill_between(COUNTS, runs.min(0), runs.max(0), color=colour, alpha=0.12, lw=0)
        floor = table[name]["mean"]["floor"]["energy"]
        axis.axhline(floor, color="0.4", ls=":", label="two fresh samples")
        axis.set(title=titles[name], xlabel="steps", xscale="log", yscale="log")
        axis.set_xticks(COUNTS, [str(c) for c in COUNTS])
        axis.minorticks_off()
    axes[0][0].set_ylabel("energy distance")
    axes[0][-1].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--laws", nargs="+", choices=LAWS, default=["eight", "moons"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--half-steps", type=int, default=6)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--fourier", type=int, default=32)
    parser.add_argument("--variance", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--draw", action="store_true", help="only draw what the file holds")
    args = parser.parse_args()
    if args.draw:
        draw(json.loads(args.out.read_text()), PICTURE)
        return
    table: dict[str, Any] = {"provenance": provenance()}
    unsaid = ("out", "draw")
    table["settings"] = {k: str(v) for k, v in vars(args).items() if k not in unsaid}
    runs: dict[str, list] = {name: [] for name in args.laws}
    for seed in range(args.seeds):
        for name in args.laws:
            runs[name].append(measure(name, seed, args))
            table[name] = {"mean": summary(runs[name]), "runs": runs[name]}
            args.out.parent.mkdir(exist_ok=True)
            args.out.write_text(json.dumps(table, indent=1, allow_nan=False) + "\n")
            print(name, seed, json.dumps(table[name]["mean"]), flush=True)


if __name__ == "__main__":
    main()
