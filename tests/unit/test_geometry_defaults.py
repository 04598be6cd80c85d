"""What a geometry need not state: the defaults are right where coordinates have periods."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import scorefold as sf
from scorefold.manifolds import Manifold


class Circle(Manifold):
    """R/Z: phases in [0, 1). The ten members that are abstract, and the period."""

    name, dim, shape = "R/Z", 1, (1,)
    periods = np.ones(1)

    @property
    def heat(self):
        raise NotImplementedError

    def origin(self, dtype=None):
        return jnp.zeros(1, dtype or jnp.result_type(float))

    def exp(self, x, v):
        return self.project(x + v)

    def log(self, x, y):
        return y - x - jnp.round(y - x)

    def project(self, u):
        return u - jnp.floor(u)

    def frame(self, x):
        return jnp.eye(1, dtype=x.dtype)

    def transport(self, x, y, v):
        return v


def test_numbers_a_turn_apart_are_one_point():
    """In the defining equations, and as rows of a table: repeats are counted, and the nearest
    neighbour of 0.9995 is 0.0005 (a chord of a circle of length 1: shorter by less than 1e-6)."""
    circle = Circle()
    at = jnp.asarray([[0.25], [1.0], [7.5], [-0.125]])
    np.testing.assert_allclose(jax.vmap(circle.defect)(at), 0.0, atol=1e-6)
    (system,) = circle.systems
    values = np.array([[0.0005], [0.9995], [1.0005], [0.5]])
    place = system.place(values, False)
    np.testing.assert_array_equal(place[0], place[2])
    assert np.linalg.norm(place[0] - place[1]) == pytest.approx(0.001, rel=1e-5)
    assert np.linalg.norm(place[0] - place[3]) == pytest.approx(1.0 / np.pi, rel=1e-5)


def test_tables_of_it(tmp_path):
    """100 of 300 rows again, a turn later: 200 points."""
    x = np.arange(200) / 256
    pd.DataFrame({"phase": np.concatenate([x, x[:100] + 1.0])}).to_csv(
        tmp_path / "t.csv", index=False
    )
    found = sf.data.load(tmp_path / "t.csv", manifold=Circle(), protocol="grouped")
    assert found.audit.duplicates == 100 and found.audit.leak == 0.0
