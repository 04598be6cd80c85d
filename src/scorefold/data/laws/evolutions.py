"""Synthetic snapshots whose true laws and paths are known."""

import math
from collections.abc import Callable

import jax
import numpy as np

from scorefold._types import Key
from scorefold.data.snapshots import Snapshots
from scorefold.manifolds import Euclidean, Manifold, Sphere

_TIMES = np.linspace(0.0, 1.0, 5)


def petal(key: Key, n: int) -> Snapshots:
    """Five arms that curl outwards from the origin. A member on arm a ∈ {0, …, 4} is, at
    t ∈ {0, ¼, …, 1}, at radius 3t and angle 2πa/5 + 1.2 t, plus normal noise of standard
    deviation 0.05 at each time: the mean path is smooth and curved. Members keep their labels."""
    rng = _generator(key)
    arm = rng.integers(0, 5, n)
    points = []
    for t in _TIMES:
        angle = 2.0 * math.pi * arm / 5.0 + 1.2 * t
        mean = 3.0 * t * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        points.append(mean + 0.05 * rng.normal(size=(n, 2)))
    ids = np.char.add(np.char.add(arm.astype(str), "-"), np.arange(n).astype(str))
    return _snapshots("petal", Euclidean(2), points, [ids] * 5)


def bifurcation(key: Key, n: int) -> Snapshots:
    """A stem that splits in two. Up to t = ½ every member has mean (2t, 0); after it the mean is
    (2t, ±2(t − ½)), both signs equally likely; independent noise of standard deviation 0.1 at
    t ∈ {0, ¼, ½, ¾, 1}. Each law is a mixture of two normal laws with known means."""
    rng = _generator(key)
    side = np.where(rng.integers(0, 2, n) == 0, -1.0, 1.0)
    points = [
        np.stack([np.full(n, 2.0 * t), side * 2.0 * max(t - 0.5, 0.0)], axis=1)
        + 0.1 * rng.normal(size=(n, 2))
        for t in _TIMES
    ]
    return _snapshots("bifurcation", Euclidean(2), points, [np.arange(n).astype(str)] * 5)


def curving_storms(key: Key, n: int) -> Snapshots:
    """Members that turn on the sphere and end early. A member of phase u ~ Uniform(−0.3, 0.3) is
    at latitude 0.2 + 0.5 t² and longitude −0.5 − 0.9 t + 0.8 t² + u (radians), t ∈ {0, ¼, …, 1},
    and is seen at t with probability e^{−t/2}, once gone for good: 39 % of the mass is lost."""
    rng = _generator(key)
    phase, life = rng.uniform(-0.3, 0.3, n), rng.exponential(2.0, n)
    points, ids = [], []
    for t in _TIMES:
        seen = np.flatnonzero(life >= t)
        lat = np.full(len(seen), 0.2 + 0.5 * t * t)
        lon = -0.5 - 0.9 * t + 0.8 * t * t + phase[seen]
        across = np.cos(lat)
        xyz = [across * np.cos(lon), across * np.sin(lon), np.sin(lat)]
        points.append(np.stack(xyz, axis=1))
        ids.append(seen.astype(str))
    return _snapshots("curving-storms", Sphere(2), points, ids)


def vortex(key: Key, n: int) -> Snapshots:
    """A steady current, ``vortex_velocity``: an eddy about the origin in a slow stream. Members
    begin at N((0.9, −0.6), diag(0.35², 0.25²)) and are moved by the current and by noise of
    variance 0.0009 per unit of time; each of nine snapshots, at 0, 0.9, …, 7.2, sees others."""
    rng, times = _generator(key), 0.9 * np.arange(9)
    points = []
    for k in range(len(times)):
        x = rng.normal([0.9, -0.6], [0.35, 0.25], size=(n, 2))
        for _ in range(k):
            x = _moved(x, 0.9) + math.sqrt(0.0009 * 0.9) * rng.normal(size=(n, 2))
        points.append(x)
    return Snapshots("vortex", Euclidean(2), tuple(times.tolist()), tuple(points))


def vortex_velocity(x: np.ndarray) -> np.ndarray:
    """1.6 e^{−r²/2.88} (−x₂, x₁) + (0.15, 0.05), at points of shape ``(…, 2)``."""
    turn = 1.6 * np.exp(-np.sum(x * x, axis=-1, keepdims=True) / 2.88)
    return turn * np.stack([-x[..., 1], x[..., 0]], axis=-1) + [0.15, 0.05]


def _moved(x: np.ndarray, time: float, steps: int = 40) -> np.ndarray:
    """Along the current, by Runge–Kutta steps."""
    h = time / steps
    for _ in range(steps):
        k1 = vortex_velocity(x)
        k2 = vortex_velocity(x + 0.5 * h * k1)
        k3 = vortex_velocity(x + 0.5 * h * k2)
        x = x + h / 6.0 * (k1 + 2 * k2 + 2 * k3 + vortex_velocity(x + h * k3))
    return x


EVOLUTIONS: dict[str, Callable[[Key, int], Snapshots]] = {
    "petal": petal,
    "bifurcation": bifurcation,
    "curving-storms": curving_storms,
    "vortex": vortex,
}
"""The synthetic snapshots by name."""


def _generator(key: Key) -> np.random.Generator:
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())


def _snapshots(
    name: str, manifold: Manifold, points: list[np.ndarray], ids: list[np.ndarray]
) -> Snapshots:
    return Snapshots(name, manifold, tuple(_TIMES.tolist()), tuple(points), tuple(ids))
