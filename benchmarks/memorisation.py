"""Which closed-form models copy their training points?

    python benchmarks/memorisation.py

500 training points of two moons (noise 0.1). Samples of the naive kernel model (the exact score of
the empirical law, reversed), of heat kernels of one bandwidth, and of learned kernels: the share
within 3√s_min of a training point (s_min = 1e-4, the data end of the naive model), beside that of
the test points, the nearest-neighbour ratio, C_T in its standard deviations, and the mean test NLL,
over seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import scorefold as sf
from scorefold._provenance import provenance
from scorefold.manifolds import nearest
from scorefold.metrics import copying, nearest_ratio
from scorefold.models import EmpiricalModel, HeatKernelDensity

HERE = Path(__file__).parent
OUT = HERE / "results" / "memorisation.json"
PICTURE = HERE.parent / "docs" / "images" / "memorisation.png"
TRAIN, VAL, TEST, NOISE, S_MIN = 500, 100, 2000, 0.1, 1e-4
Parts = tuple[sf.Manifold, jax.Array, jax.Array, jax.Array]


def moons(seed: int) -> Parts:
    rng = np.random.default_rng(seed)
    n = TRAIN + VAL + TEST
    t, upper = rng.uniform(0, np.pi, n), rng.random(n) < 0.5
    x = np.where(upper, np.cos(t), 1.0 - np.cos(t))
    y = np.where(upper, np.sin(t), 0.5 - np.sin(t))
    points = np.stack([x, y], 1) + NOISE * rng.normal(size=(n, 2))
    train, val, test = np.split(points.astype(np.float32), [TRAIN, TRAIN + VAL])
    return sf.Euclidean(2), jnp.asarray(train), jnp.asarray(val), jnp.asarray(test)


def naive(parts: Parts, seed: int) -> Any:
    manifold, train, _, _ = parts
    noising = sf.VarianceExploding(manifold, sf.Linear(1e-3, 8.0))
    return EmpiricalModel(noising, train, s_min=S_MIN)


def one_bandwidth(parts: Parts, seed: int) -> Any:
    manifold, train, val, _ = parts
    return HeatKernelDensity.choose(manifold, train, val=val)


def learned(parts: Parts, seed: int) -> Any:
    manifold, train, val, _ = parts
    return sf.fit(
        sf.KernelModel(manifold), train, val=val, key=jax.random.key(seed), progress=False
    )[0]


MODELS: dict[str, Callable[[Parts, int], Any]] = {
    "naive kernels": naive,
    "one bandwidth": one_bandwidth,
    "learned kernels": learned,
}


def measured(model: Any, parts: Parts, seed: int) -> dict[str, float]:
    manifold, train, _, test = parts
    samples = np.asarray(model.sample(jax.random.key(seed + 100), len(test)))
    within = [
        float(np.mean(nearest(manifold, train, x, 1)[1] < 3.0 * np.sqrt(S_MIN)))
        for x in (samples, np.asarray(test))
    ]
    ratio = nearest_ratio(manifold, samples, train, test)
    copies = copying(manifold, samples, train, test, key=jax.random.key(0))
    return {
        "within": within[0],
        "test_within": within[1],
        "ratio": float(ratio.value),
        "copying_z": float(copies.z),
        "test_nll": float(-model.log_prob(test).mean()),
    }


def picture(parts: Parts, models: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    _, train, _, _ = parts
    panels = {"training points": train}
    panels |= {name: m.sample(jax.random.key(7), TRAIN) for name, m in models.items()}
    figure, axes = plt.subplots(1, len(panels), figsize=(11, 2.4), sharex=True, sharey=True)
    for axis, (name, points) in zip(axes, panels.items(), strict=True):
        axis.scatter(*np.asarray(train).T, s=26, color="#bbbbbb", linewidths=0)
        if name != "training points":
            axis.scatter(*np.asarray(points).T, s=7, color="#0072b2", linewidths=0)
        axis.set_title(name, fontsize=10)
        axis.set_aspect("equal")
        axis.set(xlim=(-0.8, 0.8), ylim=(0.45, 1.45))  # the top of the upper moon
        axis.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", default=OUT, type=Path)
    arguments = parser.parse_args()
    records = []
    for seed in range(arguments.seeds):
        parts, made = moons(seed), {}
        for label, make in MODELS.items():
            since = time.perf_counter()
            made[label] = make(parts, seed)
            row = {"model": label, "seed": seed, **measured(made[label], parts, seed)}
            row["seconds"] = time.perf_counter() - since
            records.append(row)
            print({k: v if isinstance(v, str) else round(v, 3) for k, v in row.items()}, flush=True)
        if seed == 0:
            picture(parts, made)
    summary = []
    for label in MODELS:
        rows = [r for r in records if r["model"] == label]
        means = {
            key: statistics.mean(r[key] for r in rows)
            for key in ("within", "test_within", "ratio", "copying_z", "test_nll", "seconds")
        }
        summary.append({"model": label, "seeds": len(rows), **means})
    document = {"what": __doc__, "summary": summary, "records": records, **provenance()}
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
