"""Wrapped normal laws with full covariances on T^d, R^d and H^d."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._matmul import einsum, matmul
from scorefold._types import Key, Point, Scalar, constant
from scorefold.kernels import WrappedFamily
from scorefold.manifolds import Manifold
from scorefold.models.mixtures.component import Component, ComponentFamily
from scorefold.noising.references import has_compact_part

_TORUS = 12
_WIDEST, _WIDEST_CURVED = 1e6, 100.0
_DIGITS = 79.0
"""2 · 39.5: what is left out of a sum is below e^{−39.5} of what is in it."""


class WrappedNormalComponents(ComponentFamily):
    """The law of exp_z(v), v ~ N(0, Σ) in the tangent space at the centre z, Σ = Σ_k λ_k E_kE_kᵀ.

    On R^d and H^d, whose exponential map is one to one,

        log p(x) = log N(log_z x; 0, Σ) − log |det d(exp_z)|.

    On T^d the density is the sum over images, p(x) = Σ_k N(log_z x + 2πk; 0, Σ). Summed are

    - for d ≤ 2 all |k_j| ≤ 3, with λ ≤ 2.45²; for d = 3, 4 all |k_j| ≤ 1, with λ ≤ 1: what is left
      out is below rounding in float64, at every point;
    - for 5 ≤ d ≤ 12 those with at most two k_j ≠ 0, |k_j| ≤ 1, with λ ≤ 1: draws that wind about
      three circles at once are left out. ``lost`` bounds their share: 10⁻¹⁰ for deviations of 0.7,
      at most 10⁻⁵ a triple of angles for λ = 1.

    Source: Mardia & Jupp 2000, Section 3.5.7 (the circle); Nagano et al. 2019 (H^d).
    """

    def check(self, m: Manifold) -> None:
        if m.toral and m.dim > _TORUS:
            raise ValueError(
                f"manifold: wrapped normal laws are summed on T^d up to d = {_TORUS}, not on "
                f"{m.name}. Use HeatKernelMixture, which has one variance a law."
            )
        one_to_one = m.sine_volumes == () and not has_compact_part(m)
        if not (m.toral or one_to_one):
            raise ValueError(
                f"manifold: wrapped normal laws have mass one in closed form on T^d, R^d and H^d, "
                f"not on {m.name}. Use KentMixture on S^2, HeatKernelMixture anywhere."
            )

    def widest(self, m: Manifold) -> float:
        if m.toral:
            reach = _reach(m.dim)
            return math.pi**2 * ((2.0 * reach + 1.0) ** 2 - 1.0) / _DIGITS
        return _WIDEST if m.euclidean else _WIDEST_CURVED

    def log_density(self, m: Manifold, v: Array, distance: Scalar, law: Component) -> Scalar:
        if m.toral:
            return _summed(v, law)
        volume = 0.0 if m.euclidean else m.exp_log_det(law.centre, m.from_components(law.centre, v))
        return _normal(matmul(law.axes, v), law.variances) - volume

    def sample(self, key: Key, m: Manifold, law: Component) -> Point:
        return WrappedFamily().sample(key, m, law.centre, law.axes, law.variances)

    def named(self, m: Manifold, laws: Component) -> dict[str, Array]:
        """``mean``, shape ``(K, *manifold.shape)``; ``covariance``, in the frame there (of R^d and
        T^d: of the coordinates), shape ``(K, d, d)``."""
        scaled = laws.axes * laws.variances[:, :, None]
        return {"mean": laws.centre, "covariance": matmul(jnp.swapaxes(laws.axes, 1, 2), scaled)}

    def lost(self, m: Manifold, laws: Component) -> Array | float:
        """On T^d with d ≥ 5: Σ over triples of angles and their signs of P(±v_i ± v_j ± v_l > 3π),
        which holds where all three leave (−π, π). Elsewhere less than rounding."""
        if not m.toral or m.dim <= 4:
            return 0.0
        covariance = self.named(m, laws)["covariance"]
        rows = np.asarray(list(itertools.combinations(range(m.dim), 3)))
        three = covariance[:, rows[:, :, None], rows[:, None, :]]
        signs = constant(np.asarray([(1, i, j) for i in (1, -1) for j in (1, -1)], float), three)
        variance = einsum("si,ktij,sj->kts", signs, three, signs)
        beyond = jax.scipy.special.ndtr(-3.0 * math.pi / jnp.sqrt(variance))
        return 2.0 * jnp.sum(beyond, axis=(1, 2))


def _reach(d: int) -> int:
    """Turns of an angle that are summed."""
    return 3 if d <= 2 else 1


def _images(d: int) -> np.ndarray:
    """The vectors k that are summed, 0 left out, shape ``(images, d)``."""
    if d <= 4:
        turns = range(-_reach(d), _reach(d) + 1)
        every = np.asarray(list(itertools.product(turns, repeat=d)), np.float64)
        return every[np.any(every != 0, axis=1)]
    one = np.concatenate([np.eye(d), -np.eye(d)])
    pairs = [one[i] + one[j] for i in range(2 * d) for j in range(i) if (i - j) % d]
    return np.concatenate([one, np.asarray(pairs)])


def _summed(v: Array, law: Component) -> Scalar:
    """log Σ_k N(v + 2πk; 0, Σ). With P = Σ⁻¹ the exponent of an image differs from that of v by
    2π k·Pv + 2π² k·Pk, and k·Pk is the same for all points."""
    k = constant(2.0 * math.pi * _images(v.shape[0]), v)
    along = matmul(law.axes, v) / law.variances
    square = jnp.sum(matmul(law.axes, v) * along)
    images = matmul(k, law.axes.T)
    offsets = 0.5 * jnp.sum(images * images / law.variances[None], axis=1)
    others = -matmul(k, matmul(law.axes.T, along)) - offsets
    every = jax.nn.logsumexp(jnp.concatenate([jnp.zeros((1,), v.dtype), others]))
    return every - 0.5 * square - 0.5 * jnp.sum(jnp.log(2.0 * math.pi * law.variances))


def _normal(t: Array, variances: Array) -> Scalar:
    """log N(t; 0, diag(variances))."""
    return -0.5 * jnp.sum(t * t / variances + jnp.log(2.0 * math.pi * variances))
