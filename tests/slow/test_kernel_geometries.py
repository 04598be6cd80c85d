"""The kernel model on every geometry; two of them are in the fast suite."""

import pytest
from oracles.kernel_fit import check_fit

import scorefold as sf

GEOMETRIES = [
    sf.Euclidean(2), sf.Sphere(1), sf.Sphere(3), sf.Torus(3), sf.SO3(), sf.Hyperbolic(2),
    sf.Product(sf.Sphere(2), sf.Euclidean(1)),
]  # fmt: skip


@pytest.mark.parametrize("manifold", GEOMETRIES, ids=lambda m: m.name)
def test_one_code_path_fits_every_geometry(manifold, tmp_path):
    check_fit(manifold, tmp_path)
