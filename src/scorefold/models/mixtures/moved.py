"""A law with its parameters changed by free numbers: what gradient steps walk on."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scorefold._matmul import matmul
from scorefold._types import Point, Scalar
from scorefold.manifolds import Manifold
from scorefold.models.mixtures.component import Component


def moved(
    m: Manifold, round: bool, law: Component, change: Float[Array, " p"], low: Scalar, high: Scalar
) -> Component:
    """The law that is ``law`` where ``change`` = 0, and valid for every ``change``:

    - its centre is exp_z(Σ_k √λ_k u_k E_k), with λ_k ≤ 1 in the root, u the first d numbers, and
      the axes go along by parallel transport;
    - (λ_k − low)/(high − λ_k) is multiplied by e^{η_k}, η the next d numbers (one where ``round``);
    - the axes are turned by the Cayley transform of a skew matrix of the last d(d − 1)/2 numbers,
      each in the unit √(λ_jλ_k)/|λ_j − λ_k|, at most 1, in which a turn changes the law.

    So one step size suits narrow and wide laws alike. low < λ < high always.
    """
    d = m.dim
    u, eta, turns = change[:d], change[d : d + 1 if round else 2 * d], change[2 * d :]
    v = matmul(jnp.sqrt(jnp.minimum(law.variances, 1.0)) * u, law.axes)
    centre = m.exp(law.centre, m.from_components(law.centre, v))
    grown = (law.variances - low) / (high - law.variances) * jnp.exp(jnp.clip(eta, -30.0, 30.0))
    variances = (low + high * grown) / (1.0 + grown)
    if round:
        return Component(centre, law.axes, variances)
    carried = matmul(law.axes, carried_frame(m, law.centre, centre))
    return Component(centre, matmul(_turned(law.variances, turns), carried), variances)


def carried_frame(m: Manifold, x: Point, y: Point) -> Float[Array, "d d"]:
    """The frame at x, carried to y in parallel: components of its vectors in the frame there."""
    return jax.vmap(lambda e: m.components(y, m.transport(x, y, e)))(m.frame(x))


def _turned(variances: Array, turns: Array) -> Array:
    """The rotation (1 − A)⁻¹(1 + A) for a skew matrix A."""
    d = variances.shape[0]
    if d == 1:
        return jnp.ones((1, 1), variances.dtype)
    j, k = np.triu_indices(d, k=1)
    apart = jnp.abs(variances[j] - variances[k])
    unit = jnp.sqrt(variances[j] * variances[k])
    unit = unit / jnp.maximum(unit, apart)
    if d == 2:  # a rotation of the plane
        a = 0.5 * unit[0] * turns[0]
        c, s = (1.0 - a * a) / (1.0 + a * a), 2.0 * a / (1.0 + a * a)
        return jnp.stack([jnp.stack([c, s]), jnp.stack([-s, c])])
    half = jnp.zeros((d, d), variances.dtype).at[j, k].set(0.5 * unit * turns)
    skew = half - half.T
    one = jnp.eye(d, dtype=skew.dtype)
    return jnp.linalg.solve(one - skew, one + skew)
