"""A warning names the line of the user that it is about, whatever lies between."""

import math
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold import bridges, models

SPHERE, KEY = sf.Sphere(2), jax.random.key(0)


def too_wide():
    points = jax.vmap(SPHERE.uniform)(jax.random.split(KEY, 20))
    sf.fit(sf.KernelModel(SPHERE, floor=2.0), points, key=KEY, steps=1, progress=False)


def without_spread():
    x = np.random.default_rng(0).normal(size=(30, 2)) * [1.0, 0.0]
    models.HeatKernelDensity.choose(sf.Euclidean(2), x)


def not_converged():
    x = np.random.default_rng(0).normal(size=(30, 2))
    reference = sf.brownian_reference(sf.Euclidean(2), 0.1)
    bridges.transport(reference, x, x + 1.0, max_iterations=1)


def no_number():
    model = models.HeatKernelDensity(SPHERE, SPHERE.origin()[None], jnp.array([math.nan]))
    model.log_prob(SPHERE.origin())


@pytest.mark.parametrize("call", [too_wide, without_spread, not_converged, no_number])
def test_a_warning_names_the_line_that_called(call):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    found = [w for w in found if issubclass(w.category, sf.ScorefoldWarning)]
    assert found and {w.filename for w in found} == {__file__}


def test_there_is_one_way_to_warn():
    """``_warnings.warn`` finds the line; a depth that is counted by hand goes wrong in silence."""
    source = Path(sf.__file__).parent
    found = [p for p in source.rglob("*.py") if "warnings.warn(" in p.read_text()]
    assert [p.name for p in found] == ["_warnings.py"]
