"""Total masses of laws of known mass, over spaces, widths and keys: given where they can be, within
three standard errors of the truth for 95 % of keys, and refused in words elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Product, Sphere, Torus
from scorefold.metrics import total_mass
from scorefold.models import HeatKernelDensity, Model

KEYS = 20
SPACES = [
    Euclidean(1), Euclidean(2), Euclidean(5), Euclidean(10), Sphere(2), Torus(1), Torus(3), SO3(),
    Hyperbolic(2), Product(Sphere(2), Euclidean(1)),
]  # fmt: skip


class Scaled(Model):
    """Heat kernels, times 0.9: no closed form is known of it."""

    base: Model

    @property
    def manifold(self):
        return self.base.manifold

    @property
    def units(self):
        return self.base.units

    def log_prob(self, x):
        return self.base.log_prob(x) + float(np.log(0.9))

    def sample(self, key, n):
        return self.base.sample(key, n)


@pytest.mark.parametrize("manifold", SPACES, ids=lambda m: m.name)
def test_coverage(manifold):
    o = manifold.origin(jnp.float64)
    steps = np.random.default_rng(0).normal(size=(300, manifold.dim)) * 0.4
    steps[:150, 0] += 1.0
    move = jax.jit(jax.vmap(lambda c: manifold.exp(o, manifold.from_components(o, c))))
    points = np.asarray(move(jnp.asarray(steps)))
    within = []
    for s in (1e-4, 1e-2, 0.2):
        law = HeatKernelDensity(manifold, jnp.asarray(points), jnp.full(len(points), s))
        for k in range(KEYS):
            found = total_mass(Scaled(law), points, jax.random.key(k))
            if found.value is None:
                assert found.reason
            else:
                within.append(abs(found.value - 0.9) <= 3 * found.error)
    # 95 % of those given, and two more by chance.
    assert len(within) >= KEYS and np.sum(~np.array(within)) <= 0.05 * len(within) + 2
