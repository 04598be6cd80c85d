"""Nearly singular neighbourhoods: their precision matrices are positive definite."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.kernels.local.covariance import LocalCovariance
from scorefold.kernels.local.precision import precision, unpack


def hostile_moments(d, rng):
    """Second moments of neighbourhoods: nothing, a line, a plane, nearly a line, round; each of
    the sizes 1e-12 to 1e12 in three kinds at once."""
    a = rng.normal(size=(d, d))
    line, plane = np.outer(a[0], a[0]), a[:2].T @ a[:2]
    kinds = [np.zeros((d, d)), line, plane, line + 1e-7 * np.eye(d), np.eye(d), a @ a.T]
    rows, columns = np.tril_indices(d)
    packed = [k[rows, columns] for k in kinds]
    for size in 10.0 ** np.arange(-12, 13, 3):
        for i in range(len(kinds)):
            for j in range(len(kinds)):
                yield [size * packed[i], size * packed[j], packed[(i + j) % len(kinds)]]


@pytest.mark.fault(35, "neighbourhoods of no extent, on lines and planes, of sizes 1e-12 to 1e12")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("d", [1, 2, 3, 7])
def test_precisions_of_hostile_neighbourhoods_are_positive_definite(d, dtype):
    """In the precision of the data, by the eigenvalues that NumPy finds in double precision. Both
    at the start of training and where training has taken the round parts away."""
    moments = jnp.asarray(np.array(list(hostile_moments(d, np.random.default_rng(0)))), dtype)
    on = np.flatnonzero(np.equal(*np.tril_indices(d)))
    features = jnp.log(jnp.mean(moments[..., on], axis=-1) + 1e-30).astype(dtype)
    means = jnp.zeros((len(moments), 3, d), dtype)
    start = LocalCovariance.start(
        features, counts=3, floor=1e-3, width=4, depth=1, dim=d, key=jax.random.key(0)
    )

    @jax.jit
    def inverse(change):
        local = jax.tree.map(lambda a: a, start)
        object.__setattr__(local, "roundness", local.roundness + change)
        object.__setattr__(local, "isotropic", local.isotropic + change)
        kernels = local(features, moments, means)
        found, roots = precision(kernels.covariance, kernels.widening, np.zeros(d))
        return unpack(kernels.covariance), unpack(found), roots

    for change in (0.0, -40.0):
        covariance, found, roots = inverse(jnp.asarray(change, dtype))
        found = np.asarray(found, np.float64)
        assert np.isfinite(found).all() and np.isfinite(np.asarray(roots)).all()
        scaled = found / np.trace(found, axis1=1, axis2=2)[:, None, None]
        assert (np.linalg.eigvalsh(scaled) > 0).all()
        product = np.asarray(covariance, np.float64) @ found
        np.testing.assert_allclose(
            np.trace(product, axis1=1, axis2=2), d, rtol=0.05 if dtype == "float32" else 1e-6
        )
