"""Expectation–maximisation by weighted moments, for mixtures of many sizes side by side."""

from collections.abc import Sequence
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scorefold._matmul import matmul
from scorefold._types import Point, Scalar
from scorefold.manifolds import Manifold
from scorefold.models.mixtures.component import Component, ComponentFamily, WeightedMoments
from scorefold.models.mixtures.moved import carried_frame

_PAIRS = 1 << 17
"""Pairs of a point and a law that are held at a time."""
_PRIOR = 1.0
"""Points of the variance at the start that each law sees besides its own."""
_LEAST = 1e-3
"""Points that a law weighs at least, so that none is lost for ever."""


class Mixtures(eqx.Module):
    """Several mixtures, their laws one after another: ``laws`` and ``log_weights`` have a leading
    axis of all of them, ``sizes`` says how many belong to each mixture."""

    manifold: Manifold
    family: ComponentFamily
    sizes: tuple[int, ...]
    laws: Component
    log_weights: Array

    def log_terms(self, x: Point) -> Float[Array, " laws"]:
        """log (w_k p_k(x)) with the weights of each mixture normalised."""
        log_p = jax.vmap(lambda law: self.family.log_prob(self.manifold, x, law))(self.laws)
        return log_p + self.normalised()

    def normalised(self) -> Float[Array, " laws"]:
        """log w, normalised."""
        return self.log_weights - _spread(by_mixture(self.log_weights, self.sizes), self.sizes)

    def log_prob(self, x: Point) -> Float[Array, " mixtures"]:
        """log density of each mixture."""
        return by_mixture(self.log_terms(x), self.sizes)

    def one(self, i: int) -> tuple[Component, Array]:
        """Laws and normalised log weights of the mixture i."""
        first = sum(self.sizes[:i])
        part = slice(first, first + self.sizes[i])
        log_weights = self.log_weights[part]
        laws = jax.tree.map(lambda a: a[part], self.laws)
        return laws, log_weights - jax.nn.logsumexp(log_weights)


def by_mixture(log_terms: Array, sizes: Sequence[int]) -> Array:
    """log Σ exp over the laws of each mixture."""
    ends = np.cumsum(sizes)[:-1]
    return jnp.stack([jax.nn.logsumexp(part) for part in jnp.split(log_terms, ends)])


def _spread(values: Array, sizes: Sequence[int]) -> Array:
    """Numbers of mixtures, repeated for each of their laws."""
    return jnp.repeat(values, np.asarray(sizes), total_repeat_length=sum(sizes))


def expectation_maximisation(
    start: Mixtures,
    x: Array,
    variances: Array,
    low: Scalar,
    high: Scalar,
    steps: int,
    weights: Array | None = None,
) -> tuple[Mixtures, Array]:
    """``steps`` times: the share of each law in the density at each point; then each law from the
    moments of the points by these shares (``ComponentFamily.estimate``), its covariance with one
    point more, of the ``variances`` at the start, so that no law collapses onto equal points.
    ``weights``: of the points, shape ``(n,)``: one of weight 2 counts as two points.

    **Returns:** the mixtures, and the mean log density of each at x before the last step.
    """
    rows = max(1, min(len(x), _PAIRS // sum(start.sizes)))
    blocks = -(-len(x) // rows)
    filled = jnp.arange(rows * blocks) < len(x)
    if weights is not None:
        filled = jnp.pad(weights, (0, rows * blocks - len(x)))
    count = len(x) if weights is None else jnp.sum(weights)
    padded = jnp.concatenate([x, jnp.broadcast_to(x[-1:], (rows * blocks - len(x), *x.shape[1:]))])
    parts = padded.reshape(blocks, rows, *x.shape[1:]), filled.reshape(blocks, rows)

    def step(carry: _State, _: None) -> tuple[_State, None]:
        now = Mixtures(start.manifold, start.family, start.sizes, *carry[:2])
        sums = jax.lax.map(partial(_sums, now), parts)
        total, weight, moments = jax.tree.map(lambda a: jnp.sum(a, axis=0), sums)
        laws, log_weights = _maximised(now, weight, moments, variances, low, high)
        return (laws, log_weights, total / count), None

    first = start.laws, start.log_weights, jnp.zeros((len(start.sizes),), x.dtype)
    laws, log_weights, values = jax.lax.scan(step, first, None, length=steps)[0]
    return Mixtures(start.manifold, start.family, start.sizes, laws, log_weights), values


_State = tuple[Component, Array, Array]
_Sums = tuple[Array, Array, WeightedMoments]


def _sums(now: Mixtures, block: tuple[Array, Array]) -> _Sums:
    """Of a block of points, with their weights or which of them count: log densities of the
    mixtures, shares of the laws, and moments, not divided by the shares and about the old
    centres."""
    x, filled = block
    m, family = now.manifold, now.family

    def seen(law: Component) -> tuple[Array, Array, Array]:
        v, distance = jax.vmap(lambda p: family.local(m, p, law.centre))(x)
        log_p = jax.vmap(lambda v, distance: family.log_density(m, v, distance, law))
        return v, distance, log_p(v, distance)

    v, distance, log_p = jax.vmap(seen)(now.laws)
    terms = (log_p + now.normalised()[:, None]).T
    density = jax.vmap(partial(by_mixture, sizes=now.sizes))(terms)
    share = jnp.exp(terms - jax.vmap(partial(_spread, sizes=now.sizes))(density))
    counts = filled.dtype == jnp.bool_
    one = lambda a: jnp.where(filled[:, None], a, 0.0) if counts else filled[:, None] * a  # noqa: E731
    share = one(share)

    def moments(v: Array, distance: Array, share: Array) -> tuple[Scalar, WeightedMoments]:
        # Column by column: small matrix products for each law take ten times as long.
        mean = lambda a: jnp.sum(share * a)  # noqa: E731
        d = v.shape[1]
        square = [mean(v[:, max(i, j)] * v[:, min(i, j)]) for i in range(d) for j in range(d)]
        means = jnp.stack([mean(v[:, i]) for i in range(d)])
        covariance = jnp.stack(square).reshape(d, d)
        return jnp.sum(share), WeightedMoments(means, covariance, mean(distance))

    weight, found = jax.vmap(moments, (0, 0, 1))(v, distance, share)
    return jnp.sum(one(density), axis=0), weight, found


def _maximised(
    now: Mixtures, weight: Array, sums: WeightedMoments, variances: Array, low: Scalar, high: Scalar
) -> tuple[Component, Array]:
    m, family = now.manifold, now.family

    def one(law: Component, weight: Scalar, sums: WeightedMoments, prior: Scalar) -> Component:
        found = jax.tree.map(lambda a: a / jnp.maximum(weight, _LEAST), sums)
        centred = found.covariance - jnp.outer(found.mean, found.mean)
        step, covariance = family.estimate(found._replace(covariance=centred))
        seen = weight * covariance + _PRIOR * prior * jnp.eye(m.dim, dtype=covariance.dtype)
        axes, inside = _bounded(seen / (weight + _PRIOR), family.round, low, high)
        centre = m.exp(law.centre, m.from_components(law.centre, step))
        if not family.round:
            axes = matmul(axes, carried_frame(m, law.centre, centre))
        return Component(centre, axes, inside)

    laws = jax.vmap(one)(now.laws, weight, sums, variances)
    return laws, jnp.log(jnp.maximum(weight, _LEAST))


def _bounded(covariance: Array, round: bool, low: Scalar, high: Scalar) -> tuple[Array, Array]:
    """Axes and variances of a covariance, these within the bounds."""
    d = covariance.shape[0]
    if round:
        axes, variances = (
            jnp.eye(d, dtype=covariance.dtype),
            jnp.full((d,), jnp.trace(covariance) / d),
        )
    else:
        variances, columns = jnp.linalg.eigh(covariance)
        axes = columns.T
    return axes, jnp.clip(variances, 1.02 * low, high / 1.02)
