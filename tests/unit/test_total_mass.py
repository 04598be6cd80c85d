"""The total mass: closed forms against quadrature, and estimates that know their limits."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from scorefold.kernels import HeatFamily, WrappedMixture, mixture_mass
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Product, Sphere, Torus
from scorefold.metrics import total_mass
from scorefold.models import HeatKernelDensity, Model
from scorefold.noising import UniformReference, WrappedNormal
from scorefold.samplers import density_mass
from scorefold.samplers.importance import pareto_shape, weighted_mass


def mixture(manifold, variances, share=0.0, family=None, reference=None):
    """One kernel at the origin."""
    o = manifold.origin(jnp.float64)
    reference = UniformReference(manifold) if reference is None else reference
    return WrappedMixture.from_covariances(
        manifold, o[None], jnp.diag(jnp.asarray(variances))[None], jnp.zeros(1), reference,
        jnp.log(jnp.asarray(share)), family,
    )  # fmt: skip


def test_what_lies_beyond_the_cut_locus():
    """One kernel each, wide enough to lack something: against the same integral in other
    coordinates (χ² laws, products of normal laws, and a product rule over the sphere itself)."""
    beyond = np.pi**2
    for manifold, variances, missing in (
        (Torus(1), [4.0], stats.chi2.sf(beyond / 4, 1)),
        (Torus(2), [4.0, 1.0], 1 - np.prod(1 - 2 * stats.norm.sf(np.pi / np.array([2.0, 1.0])))),
        (Sphere(2), [1.5, 1.5], np.exp(-beyond / 3)),
        (SO3(), [1.0, 1.0, 1.0], stats.chi2.sf(beyond, 3)),
        (Sphere(5), [1.0] * 5, stats.chi2.sf(beyond, 5)),
        (Product(Sphere(2), Torus(1)), [1.0, 1.0, 2.0],
         1 - (1 - np.exp(-beyond / 2)) * (1 - stats.chi2.sf(beyond / 2, 1))),
    ):  # fmt: skip
        value, error = mixture_mass(mixture(manifold, variances, share=0.25))
        assert missing > 5e-4
        tolerance = 1e-9 if manifold.dim <= 2 and manifold.name != "T^2" else error
        assert abs(value - (1 - 0.75 * missing)) <= max(tolerance, 2e-3 * missing), manifold.name
    # An uneven one: the normal law of the tangent plane within the disk of radius π.
    value, _ = mixture_mass(mixture(Sphere(2), [2.0, 0.7]))
    disk = integrate.dblquad(
        lambda y, x: stats.norm.pdf(x, scale=2.0**0.5) * stats.norm.pdf(y, scale=0.7**0.5),
        -np.pi, np.pi, lambda x: -np.sqrt(np.pi**2 - x**2), lambda x: np.sqrt(np.pi**2 - x**2),
    )[0]  # fmt: skip
    assert value == pytest.approx(disk, abs=1e-7) and value < 0.99
    assert mixture_mass(mixture(Sphere(2), [3.0, 3.0], family=HeatFamily())) == (1.0, 0.0)


class Scaled(Model):
    """A law of known mass e^c, that no closed form is known of."""

    base: Model
    log_mass: float

    @property
    def manifold(self):
        return self.base.manifold

    @property
    def units(self):
        return self.base.units

    def log_prob(self, x):
        return self.base.log_prob(x) + self.log_mass

    def sample(self, key, n):
        return self.base.sample(key, n)


def scaled(manifold, points, s):
    """Heat kernels of variance-time s, times 0.9."""
    points = jnp.asarray(points)
    law = HeatKernelDensity(manifold, points, jnp.full(len(points), s, points.dtype))
    return Scaled(law, float(np.log(0.9)))


@pytest.mark.fault(49, "total masses by importance sampling against the truth")
def test_an_estimate_covers_the_truth():
    """Within 3 standard errors for 6 keys, one allowed beyond, with one point 1e6 units away. The
    closed form of the mixture itself is 1."""
    points = np.random.default_rng(0).normal(size=(200, 2))
    points[-1] += 1e6
    model = scaled(Euclidean(2), points, 0.05)
    off = []
    for k in range(6):
        found = total_mass(model, points, jax.random.key(k), 1024)
        assert found.value is not None and found.reason is None and found.error < 0.1
        off.append(abs(found.value - 0.9) / found.error)
    assert sorted(off)[-2] < 3
    assert total_mass(model.base, points, jax.random.key(0))[:3] == (1.0, 0.0, "closed form")


@pytest.mark.fault(49, "weights without a mean")
def test_weights_with_and_without_a_mean():
    """Pareto tails of known shape; constant weights; few effective draws; NaN."""
    rng = np.random.default_rng(0)
    for k in (0.2, 0.5, 1.0):
        found = [pareto_shape(rng.pareto(1 / k, 4000)) for _ in range(20)]
        assert abs(np.mean(found) - k) < 0.1, k
    assert pareto_shape(np.ones(100)) == -np.inf
    even = weighted_mass(np.full(200, np.log(0.7)))
    assert even.value == pytest.approx(0.7) and even.error == pytest.approx(0.0, abs=1e-12)
    for logs, words in (
        (np.log(rng.pareto(1.1, 4000) + 1e-300), "heavy a tail|carry the weight"),
        (np.r_[np.zeros(10), np.full(990, -50.0)], "10 carry the weight"),
        (np.r_[np.zeros(10), np.nan], "not finite at 1 of 11"),
        (np.full(10, -np.inf), "is 0 at all 10"),
    ):
        none = weighted_mass(logs)
        assert none.value is None and none.error is None
        assert re.search(words, none.reason), none.reason


def test_a_rule_with_peaks_between_its_nodes():
    """A normal law of deviation 1e-3 rad on S² and 2000 nodes: no number."""
    peak = jnp.asarray([0.6, 0.0, 0.8])

    def narrow(x):
        return -0.5 * jnp.sum((x - peak[None]) ** 2, axis=-1) / 1e-6 - np.log(2 * np.pi * 1e-6)

    found = density_mass(narrow, Sphere(2), n=2000)
    assert found.value is None and "nodes" in found.reason


def test_flat_and_hyperbolic_kernels_have_mass_one():
    for manifold in (Euclidean(3), Hyperbolic(2)):
        law = mixture(manifold, [5.0] * manifold.dim, 0.1, reference=WrappedNormal(manifold))
        assert mixture_mass(law) == (1.0, 0.0)
