"""Where expectation–maximisation begins: centres drawn far from one another."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scorefold._types import Key, Scalar
from scorefold._weights import mean
from scorefold.manifolds import Manifold


class Start(NamedTuple):
    """K centres, drawn one after another, shape ``(K, *shape)``, and the mean square of the
    distance of a point to the nearest of the first 1, …, K of them, shape ``(K,)``."""

    centres: Array
    squares: Float[Array, " K"]


def spread_centres(m: Manifold, key: Key, x: Array, k: int, weights: Array | None = None) -> Start:
    """K of the points x, each drawn with a probability proportional to the square of its geodesic
    distance to the nearest centre before it (times its weight, where there are some). Its first
    rows are a start of fewer centres. Of fewer different points than K, some are drawn again.

    Source: Arthur & Vassilvitskii 2007 (k-means++), Section 2.2.
    """

    def pick(square: Array, key: Key) -> tuple[Array, tuple[Array, Scalar]]:
        logits = jnp.where(jnp.any(square > 0), jnp.log(square), jnp.zeros_like(square))
        if weights is not None:
            logits = logits + jnp.log(weights)
        centre = x[jax.random.categorical(key, logits)]
        far = jax.vmap(lambda p: m.dist(p, centre))(x)
        nearest = jnp.minimum(square, far * far)
        return nearest, (centre, mean(nearest, weights))

    # The first is drawn evenly: all are equally far.
    top = jnp.full((len(x),), jnp.finfo(x.dtype).max, x.dtype)
    return Start(*jax.lax.scan(pick, top, jax.random.split(key, k))[1])
