"""Whether drawn ends of a bridge are those of the data: said after every fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Values
from scorefold._warnings import warn
from scorefold.manifolds import Manifold

if TYPE_CHECKING:
    from scorefold.bridges._base import Bridge

_LINES, _QUANTILES, _SPLITS = 32, 128, 40
_MARGIN = 0.1
LEAST, _MOST, _ENOUGH = 8, 1000, 200
_STEPS = 40
_THIN = 0.1
"""Of the middle principal axis: thinner ones are looked along."""


class EndGap(NamedTuple):
    """``value``: the largest W₁ between drawn and real points along a line, in standard deviations
    of the real ones along it; ``floor``: what two samples of one law stay below, but for once in
    thousands. None where there are too few points to tell."""

    value: float | None
    floor: float | None

    @property
    def missed(self) -> bool | None:
        """Beyond chance, and by more than a tenth of a standard deviation."""
        if self.value is None or self.floor is None:
            return None
        return not self.value <= max(self.floor, _MARGIN)


def end_gap(
    manifold: Manifold,
    drawn: Values,
    real: Values,
    *,
    seed: int = 0,
    learned_from: int | float = np.inf,
) -> EndGap:
    """The gap between drawn and real points of one end along the coordinates (of the embedding, on
    curved spaces), 32 other lines, and the principal axes along which real points are thin (a tenth
    of the middle one or less, of no more axes than a quarter of the points). A direction without
    spread counts as if it had a millionth of the widest. The floor is mean + 5 deviations of the
    same statistic over pairs of samples drawn from the real points again, the first as small as n
    draws of a law that was itself learned from samples are worth, 1/n + 1/``learned_from``.

    **Arguments:** points, shapes ``(n, *shape)`` and ``(m, *shape)``; at most 1000 of each count.
    """
    rng = np.random.default_rng(seed)
    x, y = (_features(manifold, _some(rng, np.asarray(p))) for p in (drawn, real))
    if min(len(x), len(y)) < LEAST:
        return EndGap(None, None)
    finite = bool(np.isfinite(x).all())
    middle, size = y.mean(axis=0), y.std(axis=0)
    least = 1e-6 * max(float(size.max()), 1e-300)
    if not finite or not (size > least).any():
        return EndGap(None if finite else np.inf, None if finite else 0.0)
    thin = _thin_axes(y - middle)
    x, y = ((p - middle) / np.maximum(size, least) for p in (x, y))
    lines = rng.normal(size=(_LINES, x.shape[1]))
    lines = np.concatenate([np.eye(x.shape[1]), lines, thin * np.maximum(size, least)])
    x, y = x @ lines.T, y @ lines.T
    spread = np.maximum(y.std(axis=0), 1e-6 * np.linalg.norm(lines, axis=1))
    value = _furthest(x, y, spread)
    worth = max(LEAST // 2, int(1.0 / (1.0 / len(x) + 1.0 / learned_from)))
    found = []
    for _ in range(_SPLITS):
        first, second = (y[rng.integers(len(y), size=k)] for k in (worth, len(y)))
        found.append(_furthest(first, second, spread))
    return EndGap(value, float(np.mean(found) + 5.0 * np.std(found)))


def arrival(
    bridge: Bridge,
    end: Literal["a", "b"],
    drawn: Values,
    real: Values,
    *,
    key: Key,
    learned_from: int | float = np.inf,
) -> EndGap:
    """``end_gap`` of points that a bridge has carried to an end, in inner coordinates;
    real points of A are blurred as its backward draws are."""
    s = 0.0 if end == "a" else bridge.total
    x, y = (bridge.enter(rows, s, name)[0] for rows, name in ((drawn, "drawn"), (real, "real")))
    y = bridge.inner.blurred_start(key, y) if end == "a" else y
    return end_gap(bridge.manifold, x, y, learned_from=learned_from)


def check_ends(
    bridge: Bridge, key: Key, a: Array, b: Array, held: tuple[Array, Array] | None
) -> None:
    """Carry points of both ends to the other and warn where they do not arrive: held-out points,
    with those of training where they are few. All in inner coordinates.

    **Warns:** ``ScorefoldWarning`` with the size of the miss, and where there are too few points
    to tell.
    """
    points, apart = [a, b], False
    if held is not None:
        apart = min(map(len, held)) >= _ENOUGH
        points = [*held] if apart else [jnp.concatenate(p) for p in zip(held, (a, b), strict=True)]
    worth = 1.0 / (1.0 / len(a) + 1.0 / len(b)) if apart else np.inf
    if min(map(len, points)) < LEAST:
        warn(
            f"The ends of the bridge are not compared with the data: {len(points[0])} and "
            f"{len(points[1])} points, and below {LEAST} nothing can be told."
        )
        return
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    starts = [jnp.asarray(_some(rng, np.asarray(p))) for p in points]
    for side, name in ((1, "b"), (0, "a")):
        start, real = starts[1 - side], starts[side]
        grid = bridge.grid(_STEPS, start.dtype)
        first, second = jax.random.split(jax.random.fold_in(key, side))
        keys = jax.random.split(first, len(start))
        if side:
            drawn = bridge.walks("forward", keys, start, grid, False)
        else:
            drawn = bridge.walks("backward", keys, start, grid[::-1], False)
            real = bridge.blurred_start(second, real)
        gap = end_gap(bridge.manifold, drawn, real, learned_from=worth)
        if gap.missed:
            warn(
                f"The bridge misses its end {name}: points carried there are {gap.value:.2g} "
                f"standard deviations from {'held-out' if apart else 'its'} points (W₁ along the "
                f"worst line; chance stays below {gap.floor:.2g}). Train longer, with more "
                "components or a lower learning_rate, or take another variance."
            )


def _thin_axes(y: np.ndarray) -> np.ndarray:
    """Principal axes of centred points, one a row, along which they are far thinner than they are
    along the middle one: a sample of few points is never that thin by chance."""
    n, d = y.shape
    if not 1 < d <= n // 4:
        return np.empty((0, d))
    _, size, axes = np.linalg.svd(y, full_matrices=False)
    return axes[size < _THIN * np.median(size)]


def _some(rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    return rows if len(rows) <= _MOST else rows[rng.permutation(len(rows))[:_MOST]]


def _features(manifold: Manifold, rows: np.ndarray) -> np.ndarray:
    inside = rows if manifold.euclidean else _embedded(manifold, jnp.asarray(rows))
    return np.asarray(inside, np.float64)


@jax.jit(static_argnums=0)
def _embedded(manifold: Manifold, rows: Array) -> Array:
    return jax.vmap(manifold.embed)(rows)


def _furthest(x: np.ndarray, y: np.ndarray, spread: np.ndarray) -> float:
    """The largest W₁/spread of columns, from quantile functions at equal steps."""
    count = min(len(x), len(y), _QUANTILES)
    at = (np.arange(count) + 0.5) / count
    first, second = (np.quantile(p, at, axis=0) for p in (x, y))
    return float(np.max(np.mean(np.abs(first - second), axis=0) / spread))
