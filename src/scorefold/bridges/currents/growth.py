"""Births and deaths: members multiply and vanish along their paths."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import abc
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Point, Scalar, Values
from scorefold.bridges.currents.drift import LearnedDrift
from scorefold.bridges.exact.plan import Transport
from scorefold.manifolds import Manifold, check_points

_SWEEPS = 500
"""Of scaling: it contracts by price/(price + 1) a sweep."""
PRICE = 30.0
"""Nats that a nat of growth costs while it is learned."""
_RIDGE, _NEWTON = 1e-2, 30
_ROUNDS, _ENOUGH = 30, 1e-4
"""Of shares of descendants, and the change of their logarithms at which they end."""


class Growth(eqx.Module):
    """g(x, t), births less deaths per member and unit of time: a member at x becomes e^{∫g} along
    its path on the average. What all members have in common is not needed: the masses of the
    snapshots say it."""

    manifold: eqx.AbstractVar[Manifold]

    @abc.abstractmethod
    def __call__(self, x: Values, t: float) -> Array:
        """g at points x, shape ``(n,)``."""


class GivenGrowth(Growth):
    """Growth that is known. ``function``: (x, t) ↦ g(x, t) for one point, in JAX."""

    manifold: Manifold
    function: Callable[[Point, Scalar], Scalar] = eqx.field(static=True)

    def __call__(self, x: Values, t: float) -> Array:
        """**Raises:** ``ValueError`` where it is no number, and naming rows where it is not
        finite."""
        rows = check_points(self.manifold, x, "points")
        values = _values(self.function, rows, jnp.asarray(t, rows.dtype))
        if values.shape != (len(rows),):
            raise ValueError(f"growth: must be one number for a point, got {values.shape[1:]}.")
        bad = np.flatnonzero(~np.isfinite(np.asarray(values)))
        if bad.size:
            raise ValueError(f"growth: is not finite at rows {bad[:10].tolist()} of the points at "
                             f"t = {t:g}.")  # fmt: skip
        return values


class LearnedGrowth(Growth):
    """g(x) = Σ_p c_p φ_p(x), φ the features of ``basis`` (``LearnedDrift``). ``width``: how far
    fresh members lie from those of a snapshot, W₁, below which growth is not told from chance."""

    manifold: Manifold
    basis: LearnedDrift
    coefficients: Array
    width: float = eqx.field(static=True, default=0.0)

    def __call__(self, x: Values, t: float) -> Array:
        rows = check_points(self.manifold, x, "points")
        phi = _features(self.basis, rows, jnp.asarray(t, rows.dtype))
        return jnp.matmul(phi, self.coefficients.astype(phi.dtype), precision="highest")


def regressed_growth(
    basis: LearnedDrift,
    points: Sequence[Array],
    times: Sequence[float],
    gaps: Values,
    counts: Values,
    width: float,
) -> LearnedGrowth:
    """Poisson regression with ridge: the coefficients that minimise the mean over all points of

        (e^{Δ_k g(x_ki)} − w_ki Δ_k g(x_ki)) / Δ_k²   + ½ ``_RIDGE``·|c|²

    by Newton's method, for w_ki descendants (``counts``, shape ``(K, n)``) of the points of several
    ``times`` after ``gaps`` Δ_k."""
    phi = np.concatenate([
        np.asarray(_features(basis, rows, jnp.asarray(t, rows.dtype)), np.float64)
        for rows, t in zip(points, times, strict=True)
    ])  # fmt: skip
    seen = np.asarray(counts, np.float64)
    gap = np.repeat(np.asarray(gaps, np.float64), seen.shape[1])
    w, c = seen.ravel(), np.zeros(phi.shape[1])
    for _ in range(_NEWTON):
        # Steps of more than 1 in Δg are cut: far from the end the exponential leads too far.
        mean = np.exp(gap * (phi @ c))
        slope = phi.T @ ((mean - w) / gap) / len(phi) + _RIDGE * c
        bend = (phi * mean[:, None]).T @ phi / len(phi) + _RIDGE * np.eye(len(c))
        step = np.linalg.solve(bend, slope)
        c = c - step / max(1.0, float(np.abs(gap * (phi @ step)).max()))
    return LearnedGrowth(basis.manifold, basis, jnp.asarray(c, points[0].dtype), width)


def noise_rate(manifold: Manifold, width: float, gap: float) -> float:
    """The rate at which noise is as wide after a gap: at a smaller one noise of the pairs would be
    growth, at a larger one a drift that carries members where others multiply would hide it."""
    return width**2 / (manifold.dim * gap)


class GrownEnds(NamedTuple):
    """g at the points of two snapshots, and the time between. Along a path g is taken to change
    evenly from the one to the other, so that between the part τ of the interval and its end

        R_ij(τ) = ∫ g ds = Δ {½(1 − τ)² g_i + ½(1 − τ²) g_j}.
    """

    left: Array
    right: Array
    gap: float
    noise: float | None = None
    """Rate at which nats are counted where shares may differ from g, at a price; None: never."""

    def rest(self, part: float) -> tuple[Array, Array]:
        """The two terms of R."""
        first = 0.5 * self.gap * (1.0 - part) ** 2 * self.left
        return first, 0.5 * self.gap * (1.0 - part**2) * self.right


def grown_plan(
    solve: Callable[[Values | None], Transport], ends: GrownEnds, squares: np.ndarray, rate: float
) -> Transport:
    """The plan π of descendants: of all P_ij = u_i K_ij v_j that with

        Σ_i P_ij = 1/m,   Σ_j P_ij e^{−R_ij(0)} ∝ 1/n,

    every member of the first snapshot counts once and every one of the second once. ``solve``:
    the plan of balanced transport for shares a_i of the first. They are sought by
    a_i ∝ 1/E[e^{−R_ij} | i], to and fro. Growth that was learned (``noise``) says shares but
    roughly: what it misses is taken from and given to members near by, at a price, in the place of
    sending members where they do not belong. ``squares``: δ·Σ⁻¹δ.

    Source: Schiebinger et al. 2019 (growth before transport); here along the whole path.
    """
    first, last = (jnp.asarray(term, jnp.result_type(float)) for term in ends.rest(0.0))
    log_a = jax.nn.log_softmax(first)
    plan = solve(jnp.exp(log_a))
    for _ in range(_ROUNDS):
        found = jax.nn.log_softmax(
            first - jax.nn.logsumexp(plan.log_conditional - last[None, :], axis=1)
        )
        if ends.noise is not None:
            nats = jnp.asarray(squares / (2.0 * max(rate, ends.noise)), found.dtype)
            found = jax.nn.log_softmax(relaxed_shares(nats, PRICE, found)[0])
        change = float(jnp.max(jnp.abs(found - log_a)))
        log_a = found
        plan = solve(jnp.exp(log_a))
        if change < _ENOUGH:
            break
    return plan


@eqx.filter_jit
def relaxed_shares(nats: Array, price: float, prior: Array | None = None) -> tuple[Array, Array]:
    """log n·a_i, and its mean over the ancestors of each j, Σ_i P_ij log n·a_i / Σ_i P_ij, for the
    shares a_i of the first snapshot that make

        KL(P | e^{−c}/nm) + ``price`` KL(a | a⁰)

    least over plans P with Σ_i P_ij = 1/m, a_i = Σ_j P_ij, for costs c (``nats``), shape
    ``(n, m)``, and log a⁰ the ``prior`` (1/n): a member that is far from all of the second snapshot
    has fewer descendants.

    Source: Chizat, Peyré, Schmitzer & Vialard 2018 (scaling for unbalanced transport).
    """
    n, m = nats.shape
    soft = price / (price + 1.0)
    before = jnp.zeros((n,), nats.dtype) if prior is None else prior + math.log(n)

    def toward(g: Array) -> Array:
        return jax.nn.logsumexp(g[None, :] - nats, axis=1) - math.log(m)

    def step(g: Array, _: None) -> tuple[Array, None]:
        f = soft * (before - toward(g))
        return math.log(n) - jax.nn.logsumexp(f[:, None] - nats, axis=0), None

    g, _ = jax.lax.scan(step, jnp.min(nats, axis=0), length=_SWEEPS)
    f = soft * (before - toward(g))
    found = f + toward(g)
    found = found - jax.nn.logsumexp(found) + math.log(n)
    ancestors = jax.nn.softmax(f[:, None] - nats, axis=0)
    return found, ancestors.T @ found


@eqx.filter_jit
def _features(basis: LearnedDrift, rows: Array, t: Scalar) -> Array:
    return jax.vmap(lambda x: basis.features(x, t))(rows)


@eqx.filter_jit
def _values(function: Callable[[Point, Scalar], Scalar], rows: Array, t: Scalar) -> Array:
    return jax.vmap(lambda x: jnp.asarray(function(x, t), rows.dtype))(rows)
