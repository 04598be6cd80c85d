"""What one half-step of a learned bridge minimises."""

import abc
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from scorefold._types import Key, Point, Scalar
from scorefold.bridges.networks.field import BridgeField
from scorefold.bridges.reference.pinned import pinned_draw
from scorefold.fields import hutchinson, value_and_divergence
from scorefold.noising import Noising


class Objective(eqx.Module):
    """The losses of a batch of examples, shape ``(n,)``."""

    @abc.abstractmethod
    def __call__(self, field: BridgeField, batch: PyTree, key: Key) -> Array: ...


class Regression(Objective):
    """½ weight ‖F(x, r) − target‖² for examples (x, r, weight, target)."""

    def __call__(self, field: BridgeField, batch: PyTree, key: Key) -> Array:
        return jax.vmap(lambda *example: _squared(field, *example))(*batch)


class PinnedRegression(Objective):
    """½ weight ‖F(x_r, r) − ∇ log p_r(x_r | x_0)‖² for pairs (x_0, x_S) of points, x_0 at the end
    that F steers to and x_r drawn from the reference pinned at both: bridge matching.

    Half of the levels are uniform in r and half in log r, between ``first`` and S − ``first``,
    stratified: beyond, the targets have more noise than news.

    Source: Shi et al. 2023, eq. (9) and (10); Peluchetti 2023.
    """

    reference: Noising
    first: float

    def __call__(self, field: BridgeField, batch: PyTree, key: Key) -> Array:
        start, end = batch
        total = self.reference.schedule.total
        levels, draws = jax.random.split(key)
        n, dtype = len(start), start.dtype
        u = (jnp.arange(n, dtype=dtype) + jax.random.uniform(levels, (n,), dtype)) / n
        last = total - self.first
        even = self.first + (last - self.first) * 2.0 * u
        octaves = self.first * (last / self.first) ** (2.0 * u - 1.0)
        r = jnp.where(u < 0.5, even, octaves)

        def one(k: Key, x0: Point, far: Point, r: Scalar) -> Scalar:
            x = pinned_draw(self.reference, k, x0, far, r, total)
            target = self.reference.score(x, x0, r)
            return _squared(field, x, r, level_weight(field, r, total), target)

        return jax.vmap(one)(jax.random.split(draws, n), start, end, r)


class ImplicitMeanMatching(Objective):
    """weight · (½‖F‖² + ⟨F, G⟩ + div F) at (x, r), for examples (x, r, weight, G): its minimiser
    is F = ∇ log p_r − G, p_r the law of x. With −G the drift that the simulated process has more
    than the reversed reference, F is what turns the process back.

    No transition density and no logarithm is needed, so it serves on every manifold. The
    diffusion coefficient may depend on time alone: if it depended on the point, the minimiser
    would have its gradient besides; here it is 1 in variance-time.

    **Arguments:** ``divergence``: "exact" or "hutchinson".

    Source: Thornton et al. 2022 (Riemannian diffusion Schrödinger bridge).
    """

    divergence: Literal["exact", "hutchinson"] = "exact"

    def __call__(self, field: BridgeField, batch: PyTree, key: Key) -> Array:
        m = field.manifold

        def one(k: Key, x: Point, r: Scalar, weight: Scalar, other: Point) -> Scalar:
            if self.divergence == "exact":
                value, div = value_and_divergence(lambda y: field(y, r), m, x)
            else:
                value, div = hutchinson(lambda y: field(y, r), m, x, k)
            return weight * (0.5 * m.inner(x, value, value) + m.inner(x, value, other) + div)

        return jax.vmap(one)(jax.random.split(key, len(batch[0])), *batch)


def _squared(field: BridgeField, x: Point, r: Scalar, weight: Scalar, target: Point) -> Scalar:
    error = field(x, r) - target
    return 0.5 * weight * field.manifold.inner(x, error, error)


def level_weight(field: BridgeField, r: Scalar, total: float) -> Scalar:
    """1/(scale² + 1/S): targets are O(1), and no level counts for more than S."""
    return 1.0 / (jnp.mean(field.scale(r) ** 2) + 1.0 / total)
