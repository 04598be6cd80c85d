"""Scores of many kernels at every noise level: those that matter one by one, the rest in groups."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._matmul import matmul, tensordot
from scorefold._types import Point, Scalar
from scorefold.kernels.wrapped.background import density_at
from scorefold.kernels.wrapped.mixture import WrappedMixture, moved_kernels
from scorefold.manifolds import Manifold

_SIZE = 16
"""Kernels in a group."""
_OPENED = 16
"""Groups whose kernels are summed one by one."""
_CLASSES = 4
"""Classes of width: only kernels of one class share a group."""


def spread_kernel(
    manifold: Manifold, x: Point, z: Point, axes: Array, variances: Array, s: Scalar
) -> Scalar:
    """log of a wrapped normal kernel after Brownian motion for the variance-time s, without the
    heat kernel:

        log N(v; 0, Σ + s) − (1 − f/2) log |det d exp|,   v = log_z(x),  f = s/(τ + s),

    τ the mean of Σ's eigenvalues. Exact on flat space and for s → 0; elsewhere the heat kernel of
    ``WrappedMixture`` is replaced by its first term N · |det d exp|^{−1/2}, for s that are small
    against the square of the radius of curvature (on S², s = 0.02: scores of size 8 are off by
    5·10⁻⁴).
    """
    v = manifold.log(z, x)
    along, spread = matmul(axes, manifold.components(z, v)), variances + s
    normal = -0.5 * jnp.sum(along * along / spread + jnp.log(2.0 * math.pi * spread))
    if manifold.euclidean:
        return normal
    flowed = s / (jnp.mean(variances) + s)
    return normal - (1.0 - 0.5 * flowed) * manifold.exp_log_det(z, v)


class Kernels(eqx.Module):
    """Wrapped normal kernels side by side: centres, principal axes and the variances along them,
    log weights, all with the same leading axes."""

    centres: Array
    axes: Array
    variances: Array
    log_weights: Array

    def at(self, rows: Array | int) -> Kernels:
        return jax.tree.map(lambda a: a[rows], self)


class ClusteredMixture(eqx.Module):
    """The density of a ``WrappedMixture`` at noise level s from ``_OPENED`` groups of 16
    neighbouring kernels, those with the largest share at x, summed one by one, and one kernel of
    the same weight, mean and covariance for every other group:

        log p_s(x) ≈ log (ε u + Σ_{open i} w_i k_i + Σ_{closed g} w_g k_g).

    Kernels are those of ``spread_kernel``. A mixture of up to 512 kernels is summed in full.
    Arrays: members ``(groups, 16, …)``, groups ``(groups, …)``.
    """

    mixture: WrappedMixture = fixed()
    members: Kernels = fixed()
    groups: Kernels | None = fixed()

    @classmethod
    def of(cls, mixture: WrappedMixture) -> ClusteredMixture:
        mixture = mixture.full()
        # Kernels of weight 0 stay, so that mixtures without a fold have arrays of one shape.
        rows = np.arange(len(mixture.centres))
        whole = len(rows) <= 2 * _SIZE * _OPENED
        order = rows[None] if whole else _cells(mixture, rows)
        at = jnp.asarray(np.maximum(order, 0), jnp.int32)
        log_weights = jnp.where(jnp.asarray(order < 0), -jnp.inf, mixture.log_weights[at])
        members = Kernels(mixture.centres[at], mixture.axes[at], mixture.variances[at], log_weights)
        groups = None if whole else quick_jit(_merged)(mixture.manifold, members)
        kept = eqx.tree_at(  # nothing twice
            lambda m: (m.centres, m.axes, m.variances, m.log_weights),
            mixture,
            tuple(a[:1] for a in (mixture.centres, mixture.axes, mixture.variances,
                                  mixture.log_weights)),
        )  # fmt: skip
        return cls(kept, members, groups)

    @property
    def terms(self) -> int:
        """Kernels evaluated for one point."""
        if self.groups is None:
            return self.members.centres.shape[1]
        return len(self.groups.centres) + _SIZE * min(_OPENED, len(self.groups.centres))

    def log_prob(self, x: Point, s: Scalar) -> Scalar:
        """log p_s(x) in nats, s > 0."""
        kernels = self._sum(self.members.at(0), x, s)
        if self.groups is not None:
            each = self._each(self.groups, x, s)
            _, at = jax.lax.top_k(jax.lax.stop_gradient(each), min(_OPENED, len(each)))
            opened = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), self.members.at(at))
            rest = each.at[at].set(-jnp.inf)
            kernels = jnp.logaddexp(self._sum(opened, x, s), jax.nn.logsumexp(rest))
        background = density_at(self.mixture.background, x, s)
        return self.mixture.with_background(kernels, background)

    def score(self, x: Point, s: Scalar) -> Point:
        """∇ log p_s(x), tangent at x."""
        m = self.mixture.manifold
        return m.gradient(x, jax.grad(lambda y: self.log_prob(y, s))(x))

    def _sum(self, kernels: Kernels, x: Point, s: Scalar) -> Scalar:
        return jax.nn.logsumexp(self._each(kernels, x, s))

    def _each(self, kernels: Kernels, x: Point, s: Scalar) -> Array:
        m, k = self.mixture.manifold, jax.tree.map(lambda a: a.astype(x.dtype), kernels)
        spread = jax.vmap(lambda z, a, v: spread_kernel(m, x, z, a, v, s))
        return k.log_weights + spread(k.centres, k.axes, k.variances)


def _cells(mixture: WrappedMixture, rows: np.ndarray) -> np.ndarray:
    """Rows of the kernels of each group, −1 where a group is not full, shape ``(groups, 16)``."""
    place = np.asarray(jax.vmap(mixture.manifold.embed)(mixture.centres))
    width = np.asarray(mixture.variances).mean(1)
    found: list[np.ndarray] = []

    def divide(of: np.ndarray) -> None:
        if len(of) <= _SIZE:
            found.append(np.pad(of, (0, _SIZE - len(of)), constant_values=-1))
            return
        longest = np.argmax(np.ptp(place[of], axis=0))
        of = of[np.argsort(place[of, longest], kind="stable")]
        half = _SIZE * (-(-len(of) // _SIZE) // 2)
        divide(of[:half])
        divide(of[half:])

    for part in np.array_split(rows[np.argsort(width[rows], kind="stable")], _CLASSES):
        divide(part)
    return np.stack(found)


def _merged(manifold: Manifold, members: Kernels) -> Kernels:
    """A kernel for each group: weight, mean and covariance at the member nearest to the middle."""

    def one(z: Array, axes: Array, variances: Array, log_w: Array) -> tuple[Array, ...]:
        total = jax.nn.logsumexp(log_w)
        share = jnp.where(jnp.isfinite(total), jnp.exp(log_w - total), 1.0 / _SIZE)
        place = jax.vmap(manifold.embed)(z)
        off = place - matmul(share, place)[None]
        off = jnp.where(share > 0, jnp.sum(off * off, axis=1), jnp.inf)
        at = z[jnp.argmin(off)]

        def from_middle(c: Point, a: Array, v: Array) -> tuple[Array, Array]:
            u = manifold.components(at, manifold.log(at, c))
            frame = jax.vmap(lambda e: manifold.from_components(c, e))(a)
            carry = lambda e: manifold.components(at, manifold.transport(c, at, e))  # noqa: E731
            e = jax.vmap(carry)(frame)
            return u, matmul(e.T, v[:, None] * e)

        u, covariance = jax.vmap(from_middle)(z, axes, variances)
        mean = matmul(share, u)
        gap = u - mean[None]
        whole = covariance + gap[:, :, None] * gap[:, None, :]
        return at, mean, tensordot(share, whole, axes=1), total

    at, mean, covariance, log_w = jax.vmap(one)(
        members.centres, members.axes, members.variances, members.log_weights
    )
    centres, covariance = moved_kernels(manifold, at, mean, covariance)
    variances, columns = jnp.linalg.eigh(covariance)
    least = float(jnp.finfo(variances.dtype).tiny) ** 0.5
    axes = jnp.swapaxes(columns, -1, -2)
    return Kernels(centres, axes, jnp.maximum(variances, least), log_w)
