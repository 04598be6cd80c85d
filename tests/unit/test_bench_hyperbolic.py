"""The table of hyperbolic spaces: its laws are densities, its processes are those it says."""

import jax
import numpy as np
import pytest

from scorefold.bench.hyperbolic import _DISK, LANGEVIN, LAWS, METHODS, _disk_field, true_law
from scorefold.bench.truth import Sizes, drawn
from scorefold.manifolds import Hyperbolic
from scorefold.noising import Langevin, WrappedNormal
from scorefold.report.density import Raster


def test_densities_of_the_picture_have_mass_one():
    """Pixels of 1/24 are 0.1 wide where the four laws lie, half of their spread: the sum over
    pixels is the integral to 1e-4."""
    raster = Raster(_DISK, np.nan_to_num(_disk_field(2, true_law("four on H^2", 0).log_prob),
                                         nan=-np.inf))  # fmt: skip
    assert raster.mass() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("name", list(LAWS)[1:])
def test_draws_are_points(name):
    law = true_law(name, 1)
    dataset = drawn(name, law, jax.random.key(0), Sizes(20, 5, 5), 1)
    points = np.asarray(dataset.train, np.float64)
    form = -(points[:, 0] ** 2) + (points[:, 1:] ** 2).sum(1)
    assert np.abs(form + 1.0).max() < 1e-6
    assert np.isfinite(np.asarray(law.log_prob(dataset.test))).all()
    assert dataset.manifold == Hyperbolic(points.shape[1] - 1)


def test_the_eight_are_another_mixture_for_each_seed():
    first, second = (true_law("eight on H^2", seed).centres for seed in (0, 1))
    assert np.abs(np.asarray(first - second)).max() > 0.1
    same = [np.asarray(true_law("six on H^3", seed).centres) for seed in (0, 1)]
    assert np.array_equal(*same)


def test_the_published_process():
    """β from 0.01 to 2 over one unit of time: 1.005 of variance-time."""
    law = true_law("eight on H^2", 0)
    dataset = drawn("eight on H^2", law, jax.random.key(0), Sizes(20, 5, 5), 0)
    model = METHODS[LANGEVIN].describe(dataset)
    assert isinstance(model.noising, Langevin) and model.s_max == pytest.approx(1.005)
    assert isinstance(model.noising.reference, WrappedNormal)
    assert model.noising.reference.std == 0.5 and hash(model) == hash(model)
