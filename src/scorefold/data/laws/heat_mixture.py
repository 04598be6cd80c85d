"""Mixtures of heat kernels: exact at every noise level."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike, Key, Point, Scalar, ScalarLike, Values, constant
from scorefold.data._errors import DataError, rows
from scorefold.data.laws.law import Law, batched
from scorefold.heat import TransitionMixture
from scorefold.manifolds import Manifold, check_points


class HeatMixture(Law):
    """p = Σ_k w_k p_{s_k}(· | c_k): heat kernels of variance-time s_k around centres c_k.

    Brownian motion for a further time maps it to the same mixture with s_k + extra_s, so that
    density and score are exact at every noise level.

    **Arguments:** ``centres``: points, shape ``(K, *manifold.shape)``; ``s``: one number or K,
    positive; ``weights``: K numbers, normalised here (default equal).
    """

    manifold: Manifold
    centres: Array
    s: Array
    weights: Array

    def __init__(
        self, manifold: Manifold, centres: Values, s: Values, weights: Values | None = None
    ):
        centres = check_points(manifold, centres, "centres")
        if centres.ndim == len(manifold.shape):
            centres = centres[None]
        k = len(centres)
        weights = np.ones(k) if weights is None else np.asarray(weights, np.float64)
        s = np.broadcast_to(np.asarray(s, np.float64), (k,))
        for name, value in (("s", s), ("weights", weights)):
            if value.shape != (k,):
                raise DataError(f"{name}: has shape {value.shape}, needs one number per centre.")
            if not (np.isfinite(value) & (value > 0)).all():
                raise DataError(f"{name}: {rows(~(value > 0))} not a positive number.")
        self.manifold = manifold
        self.centres = centres
        self.s = constant(s, centres)
        self.weights = constant(weights / weights.sum(), centres)

    def log_prob(self, x: Values, extra_s: ScalarLike = 0.0) -> Array:
        """log p in nats after Brownian motion for a further time ``extra_s``."""
        return batched(self, "_log_prob", x, extra_s)

    def score(self, x: Values, extra_s: ScalarLike = 0.0) -> Array:
        """∇ log p, tangent vectors of the shape of ``x``, at the noise level ``extra_s``."""
        return batched(self, "_score", x, extra_s)

    def sample(self, key: Key, n: int) -> Array:
        return _sample_mixture(self, key, n)

    def _log_prob(self, x: Point, extra_s: ScalarLike = 0.0) -> Scalar:
        return self._after(extra_s, x.dtype).log_prob(x)

    def _score(self, x: Point, extra_s: Scalar) -> Point:
        return self._after(extra_s, x.dtype).score(x)

    def _after(self, extra_s: ScalarLike, dtype: DTypeLike) -> TransitionMixture:
        centres, s, weights = (a.astype(dtype) for a in (self.centres, self.s, self.weights))
        return TransitionMixture(self.manifold.heat, centres, s + extra_s, jnp.log(weights))


@eqx.filter_jit
def _sample_mixture(law: HeatMixture, key: Key, n: int) -> Array:
    pick, noise = jax.random.split(key)
    k = jax.random.categorical(pick, jnp.log(law.weights), shape=(n,))
    draw = jax.vmap(law.manifold.heat.sample)
    return draw(jax.random.split(noise, n), law.centres[k], law.s[k])
