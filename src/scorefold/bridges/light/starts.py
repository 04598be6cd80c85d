"""What kernels of a potential start from: their spacing, and their weights by balancing."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key
from scorefold.manifolds import Manifold, nearest

_NEIGHBOUR = 6
_BALANCING = 100
_ROWS = 1024


def balance(at_a: Array, at_b: Array, log_weights: Array, rounds: int = _BALANCING) -> Array:
    """log w after ``rounds`` of

        w_k ← w_k · mean_j[w_k-th share of φ at b_j]/w_k / mean_i[(P_S φ)_k/(P_S φ)(a_i)],

    from log (P_S φ)_k(a_i), shape (n, K), and log φ_k(b_j), shape (m, K), both without weights.
    L(w) = mean_i log Σ_k w_k e^{at_a} − mean_j log Σ_k w_k e^{at_b} never grows: the first term is
    concave in w and lies below its tangent, the second is bounded as in expectation maximisation,
    and each round minimises the bound Σ_k (α_k w_k − β_k log w_k).
    """
    n, m = math.log(len(at_a)), math.log(len(at_b))

    def one(_: Array, log_w: Array) -> Array:
        a, b = at_a + log_w[None, :], at_b + log_w[None, :]
        share_a = jax.nn.logsumexp(at_a - jax.nn.logsumexp(a, axis=1, keepdims=True), axis=0) - n
        share_b = jax.nn.logsumexp(b - jax.nn.logsumexp(b, axis=1, keepdims=True), axis=0) - m
        return jax.nn.log_softmax(jnp.maximum(share_b - share_a, -60.0))

    return jax.lax.fori_loop(0, rounds, one, log_weights)


def spacing(manifold: Manifold, centres: Array) -> float:
    """Median squared distance to the 6th neighbour, over d; repeated points are left out."""
    different = np.unique(np.asarray(centres).reshape(len(centres), -1), axis=0)
    rows = different.reshape(-1, *manifold.shape)
    if len(rows) < 2:
        return 1e-2
    k = min(_NEIGHBOUR, len(rows) - 1)
    _, distance = nearest(manifold, rows, rows, k, exclude_self=True)
    return float(np.median(distance[:, -1] ** 2)) / manifold.dim


def some_rows(key: Key, rows: Array) -> Array:
    """At most 1024 of them."""
    return rows[jax.random.permutation(key, len(rows))[:_ROWS]]
