"""The pictures of the documentation, from laws in closed form: no training, about a minute.

    python examples/gallery.py docs/images           # all, or some groups:
    python examples/gallery.py docs/images earth torus

Each law is a mixture of heat kernels, so that densities and samples are both exact.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from scorefold import report
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Manifold, Sphere, Torus

Law = tuple[Callable, Callable]


def mixture(manifold: Manifold, centres: np.ndarray, s: float) -> Law:
    """log_prob (n, *shape) → (n,) and sample (key, n) of the heat kernel's mixture at time s."""
    x0 = jnp.asarray(centres, jnp.result_type(float))
    heat = manifold.heat

    @jax.jit
    def log_prob(x):
        def one(point):
            each = jax.vmap(lambda centre: heat.log_prob(point, centre, s))(x0)
            return jax.nn.logsumexp(each) - math.log(len(x0))

        return jax.lax.map(one, x, batch_size=512)

    def sample(key, n):
        pick, draw = jax.random.split(key)
        chosen = x0[jax.random.randint(pick, (n,), 0, len(x0))]
        return jax.vmap(lambda k, c: heat.sample(k, c, s))(jax.random.split(draw, n), chosen)

    return log_prob, jax.jit(sample, static_argnums=1)


def earth() -> tuple[np.ndarray, Law]:
    """About 160 points drawn evenly over the land of the Earth between 35°S and 60°N, and the law
    that blurs them by about 6°."""
    rng = np.random.default_rng(0)
    z = rng.uniform(math.sin(math.radians(-35)), math.sin(math.radians(60)), 500)
    lat, lon = np.degrees(np.arcsin(z)), rng.uniform(-180, 180, 500)
    keep = report.on_land(lat, lon)
    sphere = Sphere(2)
    points = np.asarray(sphere.from_latlon(lat[keep], lon[keep]))
    return points, mixture(sphere, points, 0.01)


def noise_to_data(manifold: Manifold, points: np.ndarray, times: np.ndarray, key) -> np.ndarray:
    """Exact draws of the noised law at each time, latest first: what a perfect reversal shows."""
    frames = []
    for k, s in zip(jax.random.split(key, len(times)), times, strict=True):
        keys = jax.random.split(k, len(points))
        moved = jax.vmap(lambda a, b, s=s: manifold.heat.sample(a, b, float(s)))(
            keys, jnp.asarray(points, jnp.result_type(float))
        )
        frames.append(np.asarray(moved))
    return np.stack(frames)


def earth_pictures():
    points, (log_prob, sample) = earth()
    cut = len(points) * 4 // 5
    named = {"train": points[:cut], "test": points[cut:]}
    yield (
        "globes",
        report.globes(
            log_prob=log_prob,
            data=named,
            title="A density on the sphere, with its data",
            earth=True,
        ),
    )
    yield "sphere", report.picture(
        Sphere(2), log_prob=log_prob, data=named, samples=sample(jax.random.key(0), 20000),
        title="The same as maps with true areas", earth=True,
    )  # fmt: skip
    times = np.array([2.5, 1.0, 0.3, 0.1, 0.03, 0.002])
    path = noise_to_data(Sphere(2), np.concatenate([points] * 3), times, jax.random.key(1))
    yield (
        "film",
        report.film(
            Sphere(2), path, times=times, title="From noise to data (t: variance-time)", earth=True
        ),
    )


def torus_pictures():
    angles = np.radians([[-63.0, -43.0], [-120.0, 130.0], [-70.0, 150.0], [57.0, 40.0]])
    log_prob, sample = mixture(Torus(2), angles, 0.08)
    yield "torus", report.picture(
        Torus(2), log_prob=log_prob, samples=sample(jax.random.key(0), 20000),
        axes=report.Axes(("φ", "ψ")),
        title="Backbone-like angles: exact density and samples",
    )  # fmt: skip


def rotation_pictures():
    centres = jax.vmap(SO3().uniform)(jax.random.split(jax.random.key(7), 16))
    log_prob, sample = mixture(SO3(), centres, 0.02)
    yield "rotations", report.picture(
        SO3(), log_prob=log_prob, data={"target": sample(jax.random.key(0), 20000)},
        samples={"model": sample(jax.random.key(1), 20000)}, title="A mixture of 16 on SO(3)",
    )  # fmt: skip


def hyperbolic_pictures():
    disk = Hyperbolic(2)
    origin = disk.origin()
    tangents = jnp.asarray([[0.0, 1.8, 0.0], [0.0, -0.9, 1.6], [0.0, -0.6, -1.2]], origin.dtype)
    centres = jax.vmap(lambda v: disk.exp(origin, v))(tangents)
    log_prob, sample = mixture(disk, centres, 0.15)
    yield (
        "hyperbolic",
        report.picture(
            disk,
            log_prob=log_prob,
            samples=sample(jax.random.key(0), 1200),
            title="The Poincaré disk",
        ),
    )


def flat_pictures():
    turn = 3 * math.pi * np.sqrt(np.linspace(0.02, 1.0, 60))
    spiral = (0.5 + turn / 3)[:, None] * np.stack([np.cos(turn), np.sin(turn)], -1)
    log_prob, sample = mixture(Euclidean(2), spiral, 0.05)
    yield "flat", report.picture(
        Euclidean(2), log_prob=log_prob, samples=sample(jax.random.key(0), 20000),
        title="Flat space",
    )  # fmt: skip


def training_pictures():
    rng = np.random.default_rng(0)
    step = np.arange(1, 1001) * 20
    history = SimpleNamespace(
        step=step,
        loss=0.6 + 1.4 * np.exp(-step / 2500) + 0.12 * rng.standard_normal(1000),
        val_step=step[49::50],
        val_nll=0.45 + 2.0 * np.exp(-step[49::50] / 2000) + 4e-6 * step[49::50],
    )
    yield "curves", report.training_curves(history, title="Training curves (made-up numbers)")


GROUPS = {
    "earth": earth_pictures,
    "torus": torus_pictures,
    "rotations": rotation_pictures,
    "hyperbolic": hyperbolic_pictures,
    "flat": flat_pictures,
    "training": training_pictures,
}


def main(directory: str, *groups: str) -> None:
    target = Path(directory)
    target.mkdir(parents=True, exist_ok=True)
    for group in groups or GROUPS:
        for name, figure in GROUPS[group]():
            content = report.to_png(figure, dpi=110)
            file = target / f"{name}.png"
            # 256 colours are enough for one colour map, and a third of the bytes.
            Image.open(io.BytesIO(content)).convert("RGB").quantize(256).save(file, optimize=True)
            print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(*sys.argv[1:])
