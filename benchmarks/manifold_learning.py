"""How well a kernel model learns a manifold: tangents, dimension, projection and geodesics.

    python benchmarks/manifold_learning.py

For each seed, 2000 points of a sphere, a torus and a double torus with normal noise of standard
deviation 0.02, and of a swiss roll in R⁶, are fitted by ``KernelModel`` (150 steps, 200 points for
validation); everything is then measured on 500 further points. Beside it the same measures from
local principal components, the covariances of the 20 nearest neighbours.

Errors: angle between tangent spaces in degrees at the nearest true point of each new point; share
of points whose dimension is right; distance from the true surface of new points before and after
projection (root mean square); length in R³ of curves between 20 pairs on the sphere over the
length of the great circle.
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
from scorefold.data.laws.surfaces import LevelSurface, surfaces
from scorefold.learned_manifolds import (
    InducedMetric,
    InverseCovariance,
    LearnedManifold,
    geodesics,
    intrinsic_dimension,
    principal_angle,
    project_to_ridge,
    tangents,
)
from scorefold.manifolds import Euclidean, nearest

OUT = Path(__file__).parent / "results" / "manifold_learning.json"
TRAIN, VAL, NEW, NOISE, STEPS = 2000, 200, 500, 0.02, 150
NEIGHBOURS = 20


def swiss_roll(seed: int, n: int) -> np.ndarray:
    """(x, y, 2x + 0.1n₁, x + y + 0.1n₂, x − 2y + 0.1n₃, n₄), the roll r = t/5 blurred by 0.2."""
    rng = np.random.default_rng(seed)
    t = rng.uniform(1.5 * np.pi, 4.5 * np.pi, n)
    roll = (t / 5)[:, None] * np.stack([np.cos(t), np.sin(t)], 1) + 0.2 * rng.normal(size=(n, 2))
    lifted = roll @ np.array([[2.0, 0.0], [1.0, 1.0], [1.0, -2.0]]).T
    noise = rng.normal(size=(n, 4))
    points = np.concatenate([roll, lifted + 0.1 * noise[:, :3], noise[:, 3:]], axis=1)
    return points.astype(np.float32)


ROLL = np.linalg.qr(np.array([[1, 0, 2, 1, 1, 0], [0, 1, 0, 1, -2, 0], [0, 0, 0, 0, 0, 1.0]]).T)[
    0
].T
"""The plane of the roll and the free coordinate: the three directions that are more than noise."""


def local_components(points: np.ndarray) -> LearnedManifold:
    """The covariances of the nearest neighbours of every point, at their means."""
    space = Euclidean(points.shape[1])
    rows, _ = nearest(space, points, points, NEIGHBOURS)
    near = points[rows].astype(np.float64)
    middle = near.mean(1)
    away = near - middle[:, None]
    full = np.einsum("nki,nkj->nij", away, away) / NEIGHBOURS
    full += 1e-8 * np.eye(full.shape[1])
    return LearnedManifold.build(middle.astype(points.dtype), full)


def learned(points: np.ndarray, seed: int) -> tuple[LearnedManifold, float]:
    began = time.perf_counter()
    model = sf.KernelModel(sf.Euclidean(points.shape[1]))
    model, _ = sf.fit(
        model, points[:TRAIN], val=points[TRAIN : TRAIN + VAL], key=jax.random.key(seed),
        steps=STEPS, progress=False,
    )  # fmt: skip
    return LearnedManifold.of(model.mixture_in_units()), time.perf_counter() - began


def on_surface(surface: LevelSurface, manifold: LearnedManifold, new: Any) -> dict[str, float]:
    clean = surface.project(new)
    normals = np.asarray(surface.normals(clean))[:, None]
    axes = np.asarray(tangents(manifold, clean, 3))
    angle = np.degrees(principal_angle(axes[:, 2:], normals))
    dimension = intrinsic_dimension(manifold, clean)
    landed = project_to_ridge(manifold, new, 2)
    rms = lambda a: float(jnp.sqrt(jnp.mean(a**2)))  # noqa: E731
    return {
        "angle_median_deg": float(np.median(angle)),
        "angle_90_deg": float(np.quantile(angle, 0.9)),
        "dimension_2_share": float(dimension.shares[1]),
        "dimension_std": dimension.std,
        "participation_mean": float(dimension.participation.mean()),
        "distance_before": rms(surface.distance(new)),
        "distance_after": rms(surface.distance(landed.points)),
        "ridge_converged": float(landed.converged.mean()),
    }


def on_roll(manifold: LearnedManifold, new: np.ndarray) -> dict[str, float]:
    axes = np.asarray(tangents(manifold, new, 3))
    angle = np.degrees(principal_angle(axes, np.broadcast_to(ROLL, axes.shape)))
    dimension = intrinsic_dimension(manifold, new)
    return {
        "angle_median_deg": float(np.median(angle)),
        "angle_90_deg": float(np.quantile(angle, 0.9)),
        "dimension_3_share": float(dimension.shares[2]),
        "dimension_std": dimension.std,
        "participation_mean": float(dimension.participation.mean()),
    }


def on_great_circles(manifold: LearnedManifold, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    ends = rng.normal(size=(2, 20, 3))
    ends = (ends / np.linalg.norm(ends, axis=-1, keepdims=True)).astype(np.float32)
    true = np.arctan2(np.linalg.norm(np.cross(*ends), axis=-1), (ends[0] * ends[1]).sum(-1))
    out = {}
    metrics = {
        "inverse": InverseCovariance(manifold),
        "induced": InducedMetric(manifold, 2),
        "induced_100": InducedMetric(manifold, 2, 100.0),
    }
    for name, metric in metrics.items():
        found = geodesics(metric, ends[0], ends[1])
        wrong = np.asarray(found.euclidean) / true - 1
        out |= {
            f"{name}_length_error": float(np.mean(wrong)),
            f"{name}_length_error_worst": float(wrong[np.argmax(np.abs(wrong))]),
            f"{name}_converged": float(found.converged.mean()),
        }
    return out


def summary(runs: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        k: {
            "mean": float(np.mean([r[k] for r in runs])),
            "std": float(np.std([r[k] for r in runs])),
        }
        for k in runs[0]
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {}
    for seed in range(arguments.seeds):
        for surface in surfaces():
            x = np.asarray(surface.sample(jax.random.key(seed), TRAIN + VAL + NEW, NOISE))
            new = jnp.asarray(x[TRAIN + VAL :])
            fitted, seconds = learned(x, seed)
            began = time.perf_counter()
            row = on_surface(surface, fitted, new)
            row |= {"fit_seconds": seconds, "measure_seconds": time.perf_counter() - began}
            runs.setdefault(surface.name, []).append(row)
            plain = on_surface(surface, local_components(x[:TRAIN]), new)
            runs.setdefault(f"{surface.name}, local components", []).append(plain)
            if surface.name == "sphere":
                began = time.perf_counter()
                row = on_great_circles(fitted, seed)
                row["seconds"] = time.perf_counter() - began
                runs.setdefault("great circles", []).append(row)
        x = swiss_roll(seed, TRAIN + VAL + NEW)
        fitted, seconds = learned(x, seed)
        row = on_roll(fitted, x[TRAIN + VAL :]) | {"fit_seconds": seconds}
        runs.setdefault("swiss roll in R^6", []).append(row)
        plain = on_roll(local_components(x[:TRAIN]), x[TRAIN + VAL :])
        runs.setdefault("swiss roll in R^6, local components", []).append(plain)
        print(f"seed {seed}: " + json.dumps({k: v[-1] for k, v in runs.items()}), flush=True)
        write(arguments.out, seed + 1, runs)


def write(out: Path, seeds: int, runs: dict[str, list[dict[str, float]]]) -> None:
    result = {
        "settings": {
            "train": TRAIN, "val": VAL, "new": NEW, "noise": NOISE, "steps": STEPS,
            "neighbours_of_local_components": NEIGHBOURS, "seeds": seeds,
        },
        "summary": {k: summary(v) for k, v in runs.items()},
        "runs": runs,
        **provenance(),
    }  # fmt: skip
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
