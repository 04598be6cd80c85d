"""Precision matrices of many kernels at once, as packed lower triangles."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold.manifolds import Manifold

_REACH = 5.2
"""Standard deviations between the widest kernel and the cut locus: 2e-7 of a normal law lies
beyond on each axis."""


def diagonal_of(d: int) -> np.ndarray:
    """Positions of the diagonal among the packed entries."""
    rows, columns = np.tril_indices(d)
    return np.flatnonzero(rows == columns)


def pack(matrix: Array) -> Array:
    """Lower triangles of ``(…, d, d)`` as ``(…, d(d+1)/2)``."""
    rows, columns = np.tril_indices(matrix.shape[-1])
    return matrix[..., rows, columns]


def unpack(packed: Array) -> Array:
    """The symmetric ``(…, d, d)`` matrices of packed lower triangles."""
    d = (math.isqrt(8 * packed.shape[-1] + 1) - 1) // 2
    position = np.zeros((d, d), int)
    rows, columns = np.tril_indices(d)
    position[rows, columns] = position[columns, rows] = np.arange(len(rows))
    return packed[..., position]


def cap_precision(manifold: Manifold) -> np.ndarray:
    """1/c² for each direction of the frame, shape ``(dim,)``: c = r/5.2 on a factor whose cut
    locus lies at the distance r (π on spheres, tori and SO(3)), and 0 (no cap) without one.

    A normal law in the tangent space with no standard deviation above c has 2e-7 of its mass
    beyond the cut locus on each axis: what the principal branch of the logarithm leaves out.
    """
    return np.concatenate(
        [np.full(m.dim, (_REACH / m.injectivity_radius) ** 2) for m in manifold.factors]
    )


def precision(covariance: Array, widening: Array, cap: np.ndarray) -> tuple[Array, Array]:
    """(Σ⁻¹, ½ log |Σ⁻¹/f + diag(cap)| for f = 1 and f in ``widening``): packed, shape ``(n, p)``,
    and ``(n, t + 1)``, for packed Σ, shape ``(n, p)``, and f, shape ``(n, t)``."""
    inverse, log_det = invert(unpack(covariance))
    if np.any(cap != 0):
        added = jnp.diag(jnp.asarray(cap, inverse.dtype))[None]
        near = 0.5 * invert(inverse + added)[1]
        far = [0.5 * invert(inverse / w[:, None, None] + added)[1] for w in widening.T]
    else:
        near = -0.5 * log_det
        far = [near - 0.5 * len(cap) * jnp.log(w) for w in widening.T]
    return pack(inverse), jnp.stack([near, *far], -1)


def quadratic(packed: Array, v: Array) -> Array:
    """vᵀPv of packed symmetric P, shape ``(…, p)``, and v, shape ``(…, d)``."""
    rows, columns = np.tril_indices(v.shape[-1])
    twice = jnp.asarray(np.where(rows == columns, 1.0, 2.0), v.dtype)
    products = v[..., rows] * v[..., columns]
    return jnp.sum(packed * products * twice.reshape((1,) * (v.ndim - 1) + (-1,)), axis=-1)


@jax.custom_jvp
def invert(matrix: Array) -> tuple[Array, Array]:
    """(S⁻¹, log |S|) of symmetric positive definite matrices, shape ``(n, d, d)``.

    The sweep operator on all matrices at once, a pivot after another (Beaton 1964): for small
    matrices several times faster than a factorisation of each. Rows and columns are scaled to a
    unit diagonal first, so that the units of the coordinates do not matter. Derivatives are in
    closed form, dS⁻¹ = −S⁻¹ dS S⁻¹ and d log |S| = tr(S⁻¹ dS).
    """
    d = matrix.shape[-1]
    numbers = jnp.finfo(matrix.dtype)
    size = jnp.maximum(jnp.diagonal(matrix, axis1=1, axis2=2), float(numbers.tiny))
    unit = jax.lax.rsqrt(size)
    side_by_side = jnp.moveaxis(matrix * unit[:, :, None] * unit[:, None, :], 0, -1)
    smallest = float(numbers.eps)

    def sweep(carry: tuple[Array, Array], j: Array) -> tuple[tuple[Array, Array], None]:
        a, log_det = carry
        # Rounding can leave a pivot of a nearly singular matrix below 0.
        pivot = jnp.maximum(a[j, j], smallest)
        row = a[j] / pivot[None]
        at = jnp.arange(d) == j
        swept = a - a[:, j][:, None] * row[None]
        swept = jnp.where(at[:, None, None], row[None], swept)
        swept = jnp.where(at[None, :, None], row[:, None], swept)
        corner = at[:, None, None] & at[None, :, None]
        swept = jnp.where(corner, -1.0 / pivot[None, None], swept)
        return (swept, log_det + jnp.log(pivot)), None

    start = (side_by_side, jnp.zeros(matrix.shape[0], matrix.dtype))
    (swept, log_det), _ = jax.lax.scan(sweep, start, jnp.arange(d))
    inverse = -jnp.moveaxis(swept, -1, 0) * unit[:, :, None] * unit[:, None, :]
    return inverse, log_det + jnp.sum(jnp.log(size), axis=1)


@invert.defjvp
def _invert_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple:
    (matrix,), (change,) = primals, tangents
    inverse, log_det = invert(matrix)
    product = functools.partial(jnp.matmul, precision="highest")
    return (inverse, log_det), (
        -product(product(inverse, change), inverse),
        jnp.sum(inverse * change, axis=(-2, -1)),
    )
