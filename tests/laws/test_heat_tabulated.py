"""Tables of heat kernels against arbitrary precision, and what is summed with them."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.heat import IsotropicHeat, TabulatedProfile, tabulated_kernel
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Sphere, Torus
from scorefold.models import HeatKernelDensity

ORACLES = Path(__file__).parent.parent / "oracles"


def _each(profile, r, s):
    return jax.vmap(profile.log_prob, (0, None))(jnp.asarray(r), jnp.asarray(s))


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 7e-6), (np.float64, 1.1e-9)])
def test_a_table_is_the_kernel(dtype, tolerance):
    """oracles/make_heat_table.py on S²: the stated error of a table and that of the exact kernel,
    to the antipode, for every s that has a table; one for other s has no number."""
    oracle = np.load(ORACLES / "heat_sphere.npz")
    rows, seen = oracle["d"] == 2, 0
    for s in np.unique(oracle["s"][rows]):
        kernel = tabulated_kernel(Sphere(2).heat, float(dtype(s)), dtype)
        assert isinstance(kernel, IsotropicHeat)
        if not isinstance(kernel.profile, TabulatedProfile):
            assert dtype is np.float64 and s < 0.03
            continue
        at = rows & (oracle["s"] == s)
        r, exact = oracle["r"][at].astype(dtype), oracle["log_prob"][at]
        found = np.asarray(_each(kernel.profile, r, dtype(s)), np.float64)
        assert np.max(np.abs(found - exact) / np.maximum(1.0, np.abs(exact))) < tolerance
        seen += len(r)
        assert np.isnan(_each(kernel.profile, r, dtype(1.5) * dtype(s))).all()
    assert seen > 20


def test_what_has_no_table_stays_exact():
    for manifold in (Euclidean(2), Torus(2), Hyperbolic(2)):
        heat = manifold.heat
        assert tabulated_kernel(heat, 0.1, jnp.float32) is heat


@pytest.mark.parametrize("manifold", [Sphere(2), SO3()], ids=lambda m: m.name)
def test_a_density_of_one_bandwidth_is_the_sum_of_exact_kernels(manifold):
    """Against exact kernels, which bandwidths that differ in one place have: log p and, under
    ``jax.grad``, its derivative; inside ``jax.jit`` as outside."""
    keys = jax.random.split(jax.random.key(0), 40)
    points = jax.vmap(lambda k: manifold.uniform(k, jnp.float64))(keys)
    z, x = points[:30], points[30:]
    s = jnp.full(30, 0.2)
    one = HeatKernelDensity(manifold, z, s, 0.1)
    many = HeatKernelDensity(manifold, z, s.at[0].multiply(1.0 + 1e-12), 0.1)
    np.testing.assert_allclose(one.log_prob(x), many.log_prob(x), rtol=0, atol=1e-8)
    np.testing.assert_allclose(jax.jit(one.log_prob)(x), one.log_prob(x), rtol=0, atol=1e-12)
    slopes = (jax.grad(lambda y, m=m: m.log_prob(y).sum())(x) for m in (one, many))
    np.testing.assert_allclose(*slopes, rtol=0, atol=1e-5)
