"""Are draws those of a density? A test by isometries, which needs nothing but log p."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar, Values
from scorefold.manifolds import Manifold, check_points

_TURNS, _WEIGHTS = 6, 6
"""Isometries and weights, at most."""
_TUNED = 4
"""One in so many draws sets the sizes of steps and weights, and is not tested."""
_SPANS = tuple(4.0 * 2.0**-k for k in range(10))
"""Of flows, in deviations of the draws."""
_STEPS = 16
_UNSEEN = 7.0
"""An event whose chance is this over n is not seen among n draws once in e⁷."""
_IMPOSSIBLE = 1e-3
"""Share of draws whose density may be 0 by rounding at an edge."""
_ROUNDING = 2e-4
"""Of log p in float32, which need not have mean 0."""
"""Of Runge–Kutta along a field."""


class DrawsAgainstDensity(NamedTuple):
    """``z``: the largest deviation from what is expected of draws of the density, in standard
    errors, among ``tests`` of them; ``p_value``: the chance that one of as many is as large
    (Bonferroni); ``n``: draws that were tested."""

    z: float
    p_value: float
    tests: int
    n: int


def draws_against_density(
    manifold: Manifold, log_prob: Callable[[Array], Values], draws: Values, key: Key
) -> DrawsAgainstDensity:
    """Whether ``draws`` x are independent draws of the density p. For every isometry g and
    function f

        E[f(x) min(1, p(gx)/p(x))] = E[f(g⁻¹x) min(1, p(g⁻¹x)/p(x))]:

    both are ∫ f(x) min(p(x), p(gx)) dx, as g keeps volumes. The difference of the two is bounded
    where f is, and its mean is compared with its standard error for flows g of up to six Killing
    fields, and f = 1 and up to six coordinates of the embedding. How long a flow lasts is what a
    quarter of the draws finds most suspicious; the others are tested with it. p need not be
    normalised. Draws that are too narrow, too wide, moved, or lack a mode that is near are found.
    Those of another law that is symmetric in the same way may pass, and those that lack a mode
    farther than four of their deviations away, or have other weights of modes so far apart.

    **Arguments:** ``log_prob``: of a batch; asked for at up to forty times as many points as there
    are draws; ``draws``: shape ``(n, *manifold.shape)``, n ≥ 80.
    **Raises:** ``ValueError`` for fewer draws, and where log p is NaN or ∞ at one of them. Where it
    is −∞ at more than one in a thousand, they are no draws of p: ``p_value`` is 0.
    """
    x = check_points(manifold, draws, "draws")
    if x.ndim == len(manifold.shape) or len(x) < 80:
        raise ValueError("draws: needs 80 or more to tell anything.")
    tuned = len(x) // _TUNED
    fields, lines, shuffle = jax.random.split(key, 3)
    x = x[jax.random.permutation(shuffle, len(x))]
    first, rest = x[:tuned], x[tuned:]
    known = np.asarray(log_prob(x), np.float64)
    if known.shape != (len(x),):
        raise ValueError(f"log_prob: must give one number for each of {len(x)} points, got shape "
                         f"{known.shape}.")  # fmt: skip
    bad = int((np.isnan(known) | np.isposinf(known)).sum())
    if bad:
        raise ValueError(f"log_prob: is no number at {bad} of {len(x)} draws.")
    if np.isneginf(known).sum() > max(1.0, _IMPOSSIBLE * len(x)):
        # p has no such draws.
        return DrawsAgainstDensity(math.inf, 0.0, 1, len(rest))
    weights, spread = _weights(manifold, first, lines)
    found: list[float] = []
    for mix in _mixes(manifold, fields, x.dtype):

        def tried(spans: Sequence[float], x: Array, known: np.ndarray, mix: Array = mix) -> list:
            # log p of all together: few calls of many points.
            moved = [_flow(manifold, x, mix, spread * s * way) for s in spans for way in (1, -1)]
            every = np.asarray(log_prob(jnp.concatenate(moved)), np.float64)
            kept = _kept(every.reshape(len(moved), -1), known)
            each = []
            for k in range(len(spans)):
                back, up, down = moved[2 * k + 1], kept[2 * k], kept[2 * k + 1]
                rows = [(f(x), f(back)) for f in weights]
                each.append(
                    [_deviation(a * up - b * down, float(np.abs(a).max())) for a, b in rows]
                )
            return each

        most = [max(zs) for zs in tried(_SPANS, first, known[:tuned])]
        found += tried([_SPANS[int(np.argmax(most))]], rest, known[tuned:])[0]
    z = float(max(found))
    chance = min(1.0, len(found) * math.erfc(z / math.sqrt(2.0)))
    return DrawsAgainstDensity(z, chance, len(found), len(rest))


def _deviation(x: np.ndarray, most: float) -> float:
    """|mean| in standard errors, rounding included: under a symmetry of p nothing else varies. What
    draws that were not seen (at an edge, say) may add, each ``most``, is taken off."""
    beyond = max(0.0, abs(float(x.mean())) - most * _UNSEEN / len(x))
    return float(beyond / math.hypot(x.std(ddof=1) / math.sqrt(len(x)), _ROUNDING))


def _kept(moved: np.ndarray, known: np.ndarray) -> np.ndarray:
    """min(1, p(gx)/p(x)); 0 where p(gx) is."""
    with np.errstate(invalid="ignore"):  # −∞ less −∞
        change = moved - known
    return np.exp(np.minimum(0.0, np.where(np.isnan(change), -np.inf, change)))


def _mixes(manifold: Manifold, key: Key, dtype: np.dtype) -> list[Array]:
    """Coefficients of Killing fields: of each by itself, or of some random sums."""
    count = len(manifold.killing(manifold.origin(dtype)))
    if count <= _TURNS:
        return list(jnp.eye(count, dtype=dtype))
    mixes = jax.random.normal(key, (_TURNS, count), dtype)
    return list(mixes / jnp.linalg.norm(mixes, axis=1, keepdims=True))


def _weights(
    manifold: Manifold, some: Array, key: Key
) -> tuple[list[Callable[[Array], np.ndarray]], float]:
    """1, and coordinates of the embedding (or random sums of them) between −3 and 3 deviations; and
    the deviation of a coordinate."""
    seen = _embedded(manifold, some)
    count = seen.shape[1]
    axes = np.eye(count)
    if count > _WEIGHTS:
        axes = np.asarray(jax.random.normal(key, (_WEIGHTS, count)), np.float64)
    middle, spread = (seen @ axes.T).mean(axis=0), (seen @ axes.T).std(axis=0)

    def along(k: int) -> Callable[[Array], np.ndarray]:
        scale = spread[k] or 1.0
        return lambda x: np.clip((_embedded(manifold, x) @ axes[k] - middle[k]) / scale, -3.0, 3.0)

    # By medians: a few draws far away do not set it.
    off = np.median(np.abs(seen - np.median(seen, axis=0)), axis=0) * 1.4826
    size = float(np.sqrt(np.mean(off**2)) or np.sqrt(seen.var(axis=0).mean())) or 1.0
    return [lambda x: np.ones(len(x)), *map(along, range(len(axes)))], size


def _embedded(manifold: Manifold, x: Array) -> np.ndarray:
    return np.asarray(_embed(manifold, x), np.float64)


@eqx.filter_jit
def _embed(manifold: Manifold, x: Array) -> Array:
    return jax.vmap(lambda p: jnp.ravel(manifold.embed(p)))(x)


def _flow(manifold: Manifold, x: Array, mix: Array, span: float) -> Array:
    return _flowed(manifold, x, mix, jnp.asarray(span / _STEPS, x.dtype))


@eqx.filter_jit
def _flowed(manifold: Manifold, x: Array, mix: Array, h: Scalar) -> Array:
    """Along Σ c_k K_k, by steps of fourth order, back onto the manifold after each."""

    def rate(p: Point) -> Point:
        return jnp.tensordot(mix, manifold.killing(p), axes=1)

    def step(p: Point, _: None) -> tuple[Point, None]:
        k1 = rate(p)
        k2 = rate(p + 0.5 * h * k1)
        k3 = rate(p + 0.5 * h * k2)
        k4 = rate(p + h * k3)
        return manifold.project(p + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)), None

    return jax.vmap(lambda p: jax.lax.scan(step, p, length=_STEPS)[0])(x)
