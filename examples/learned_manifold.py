"""Manifolds learned from noisy points: tangents, a geodesic, and a swiss roll in six dimensions.

    python examples/learned_manifold.py docs/images     # about a minute

Fits a kernel model to 2000 points of each surface and writes ``learned_manifold.png``.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import jax
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from PIL import Image

import scorefold as sf
from scorefold.data.laws.surfaces import surfaces
from scorefold.learned_manifolds import (
    InducedMetric,
    LearnedManifold,
    geodesics,
    intrinsic_dimension,
    principal_angle,
    tangents,
)

ENDS = {
    "sphere": ([0.9, -0.3, -0.5], [-0.3, -0.8, 0.6]),
    "torus": ([1.2, -0.6, 0.3], [-1.2, -0.6, 0.3]),
    "double torus": ([2.7, -0.8, 0.4], [-2.6, -0.8, 0.4]),
}
LINE = "#d95f02"


def learn(points: np.ndarray, seed: int) -> LearnedManifold:
    model = sf.KernelModel(sf.Euclidean(points.shape[1]))
    model, _ = sf.fit(
        model, points[200:], val=points[:200], key=jax.random.key(seed), steps=150, progress=False
    )
    return LearnedManifold.of(model.mixture_in_units())


def apart(points: np.ndarray, least: float) -> np.ndarray:
    """Rows at least so far from each other, in their order."""
    kept: list[int] = []
    for i, x in enumerate(points):
        if not kept or np.min(np.linalg.norm(points[kept] - x, axis=1)) >= least:
            kept.append(i)
    return np.asarray(kept)


def facing(axes, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Points whose side is seen."""
    elev, azim = np.radians(axes.elev), np.radians(axes.azim)
    eye = np.array([np.cos(elev) * np.cos(azim), np.cos(elev) * np.sin(azim), np.sin(elev)])
    return normals @ eye > 0.0


def draw_surface(axes, surface, learned: LearnedManifold, points: np.ndarray):
    """The cloud coloured by the error of its tangents, ellipses of Σ, and a geodesic."""
    clean = surface.project(points)
    normals = np.asarray(surface.normals(clean))
    learned_axes = np.asarray(tangents(learned, clean, 3))
    error = np.degrees(principal_angle(learned_axes[:, 2:], normals[:, None]))
    axes.view_init(elev=38 if surface.name != "sphere" else 20, azim=-80)
    front = facing(axes, np.asarray(clean), normals)
    x = points[front]
    shown = axes.scatter(
        *x.T, c=error[front], s=7, cmap="cividis", vmin=0, vmax=15, linewidths=0, depthshade=False
    )
    some = np.flatnonzero(front)
    some = some[apart(np.asarray(clean)[some], 0.17 * np.ptp(points[:, 0]) ** 0.5)]
    turn = np.linspace(0, 2 * np.pi, 40)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)
    spectrum = jax.vmap(learned.spectrum)(clean[some])
    spread = np.sqrt(np.asarray(spectrum[0]))[:, None, :2]
    rings = np.asarray(clean)[some][:, None] + (circle[None] * spread) @ learned_axes[some, :2]
    axes.add_collection3d(
        Poly3DCollection(rings, facecolors=(1, 1, 1, 0.55), edgecolors="black", linewidths=0.8)
    )
    ends = [surface.project(np.asarray([e], points.dtype)) for e in ENDS[surface.name]]
    path = geodesics(InducedMetric(learned, 2, 30.0, 0.1), *ends)
    axes.plot(*np.asarray(path.points[0]).T, color="white", lw=5, zorder=9)
    axes.plot(*np.asarray(path.points[0]).T, color=LINE, lw=2.5, zorder=10)
    reach = np.ptp(points, axis=0)
    axes.set_box_aspect(reach, zoom=1.25)
    axes.set_axis_off()
    votes = intrinsic_dimension(learned, clean)
    axes.set_title(
        f"{surface.name}: median angle {np.median(error):.1f}°\n"
        f"dimension {votes.dim} at {100 * votes.agreement:.0f} % of the points",
        fontsize=10,
        y=1.0,
    )
    return shown


def roll_points(n: int) -> np.ndarray:
    """(x, y, 2x + 0.1n₁, x + y + 0.1n₂, x − 2y + 0.1n₃, n₄) around a roll r = t/5."""
    rng = np.random.default_rng(0)
    t = rng.uniform(1.5 * np.pi, 4.5 * np.pi, n)
    roll = (t / 5)[:, None] * np.stack([np.cos(t), np.sin(t)], 1) + 0.2 * rng.normal(size=(n, 2))
    lifted = roll @ np.array([[2.0, 0.0], [1.0, 1.0], [1.0, -2.0]]).T
    noise = rng.normal(size=(n, 4))
    points = np.concatenate([roll, lifted + 0.1 * noise[:, :3], noise[:, 3:]], axis=1)
    return points.astype(np.float32)


def draw_roll(axes, learned: LearnedManifold, points: np.ndarray):
    """Its first two coordinates coloured by the sixth, with the ellipses of Σ in them."""
    shown = axes.scatter(
        points[:, 0], points[:, 1], c=points[:, 5], s=7, cmap="cividis", vmin=-2.5, vmax=2.5,
        linewidths=0,
    )  # fmt: skip
    turn = np.linspace(0, 2 * np.pi, 40)
    circle = np.stack([np.cos(turn), np.sin(turn)], 1)
    rings = []
    some = points[apart(points[:, :2], 0.45)]
    some = some[np.abs(some[:, 5]) < 1.5]
    for x, full in zip(some, np.asarray(jax.vmap(learned.covariance)(some)), strict=True):
        rings.append(x[:2] + circle @ np.linalg.cholesky(full[:2, :2]).T)
    axes.add_collection(
        PolyCollection(rings, facecolors=(1, 1, 1, 0.55), edgecolors="black", linewidths=0.8)
    )
    plane = np.array([[1, 0, 2, 1, 1, 0], [0, 1, 0, 1, -2, 0], [0, 0, 0, 0, 0, 1.0]])
    truth = np.linalg.qr(plane.T)[0].T
    found = np.asarray(tangents(learned, points, 3))
    error = np.degrees(principal_angle(found, np.broadcast_to(truth, found.shape)))
    votes = intrinsic_dimension(learned, points)
    axes.set_title(
        f"swiss roll in R⁶: median angle {np.median(error):.1f}°\n"
        f"dimension {votes.dim} at {100 * votes.agreement:.0f} % of the points",
        fontsize=10,
    )
    axes.set_aspect("equal")
    axes.set_xlabel("x₁")
    axes.set_ylabel("x₂")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the picture goes")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)

    figure = Figure(figsize=(10, 9), facecolor="white")
    places = [(0.02, 0.47, 0.42, 0.4), (0.46, 0.47, 0.42, 0.4), (0.02, 0.0, 0.46, 0.4)]
    for k, surface in enumerate(surfaces()):
        points = np.asarray(surface.sample(jax.random.key(k), 2200, noise=0.02))
        axes = figure.add_axes(places[k], projection="3d", computed_zorder=False)
        shown = draw_surface(axes, surface, learn(points, k), points)
    bar = figure.colorbar(shown, cax=figure.add_axes((0.92, 0.5, 0.015, 0.34)), extend="max")
    bar.set_label("tangent plane: angle to the true one (degrees)")
    points = roll_points(2200)
    axes = figure.add_axes((0.54, 0.06, 0.36, 0.34))
    shown = draw_roll(axes, learn(points, 3), points)
    bar = figure.colorbar(shown, cax=figure.add_axes((0.92, 0.06, 0.015, 0.32)), extend="both")
    bar.set_label("x₆")
    figure.suptitle(
        "Manifolds learned from 2000 noisy points: ellipses of the covariance field (one standard "
        "deviation)\nand geodesics of its metric (orange)", fontsize=11, y=0.985,
    )  # fmt: skip
    content = io.BytesIO()
    figure.savefig(content, dpi=110)
    file = arguments.folder / "learned_manifold.png"
    Image.open(content).convert("RGB").quantize(256).save(file, optimize=True)
    print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
