"""Heat kernel of the flat torus: independent circles."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._geometry import HeatKernel, Manifold
from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.heat._base import RadialProfile
from scorefold.heat.sphere import SphereProfile


class TorusHeat(HeatKernel):
    """Brownian motion on T^d: the product over coordinates of the wrapped normal law,

        p_s(x | x₀) = Π_i (2πs)^{−½} Σ_n e^{−(x_i − x₀_i + 2πn)²/2s}
                    = Π_i (1/2π)(1 + 2 Σ_k e^{−k²s/2} cos k(x_i − x₀_i)),

    the first form for s < 1 and the second above, so that the score keeps its relative accuracy
    when it has decayed to e^{−s/2}.

    **Arguments:** ``manifold``: the torus, whose points are d angles; ``circle``: the law of one
    coordinate, S¹ of length 2π.
    """

    manifold: Manifold
    circle: RadialProfile = SphereProfile(1)

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        s = jnp.asarray(s, x.dtype)
        apart = jnp.abs(self.manifold.log(x, x0))
        return jnp.sum(jax.vmap(self.circle.log_prob, (0, None))(apart, s))

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        s = jnp.asarray(s, x.dtype)
        back: Array = self.manifold.log(x, x0)
        return jax.vmap(self.circle.slope, (0, None))(jnp.abs(back), s) * back

    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        step = jnp.sqrt(jnp.asarray(s, x0.dtype))
        return self.manifold.exp(x0, step * jax.random.normal(key, x0.shape, x0.dtype))
