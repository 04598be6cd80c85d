"""Synthetic targets by name."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from scorefold._types import Key
from scorefold.data._errors import nearest
from scorefold.data.laws import flat
from scorefold.data.laws.heat_mixture import HeatMixture
from scorefold.data.laws.law import Law
from scorefold.manifolds import SO3, Hyperbolic, Manifold, Sphere, Torus


def so3_mixture(key: Key, modes: int) -> HeatMixture:
    """Heat kernels around uniform rotations c_k with s_k = 1/(2 γ_k), γ_k ~ Gamma(100).

    The table of Riemannian score-based generative modelling (De Bortoli et al. 2022, SO(3),
    M = 16, 32, 64). There a normal vector of standard deviation γ^{−1/2} is drawn in the basis
    that is orthonormal for tr(UᵀV), and the density is taken with respect to the measure of
    total volume 8π². In the angle metric ½tr(UᵀV) of this library that is s = 1/(2γ), and the
    densities are the same numbers.
    """
    return _random(SO3(), key, modes, lambda k: 0.5 / jax.random.gamma(k, 100.0, (modes,)))


def sphere_mixture(key: Key, modes: int = 8) -> HeatMixture:
    """Heat kernels on S² around uniform centres, s_k = 1/γ_k, γ_k ~ Gamma(25): about 0.2 rad."""
    return _random(Sphere(2), key, modes, lambda k: 1.0 / jax.random.gamma(k, 25.0, (modes,)))


def torus(key: Key, d: int) -> HeatMixture:
    """One wrapped normal of standard deviation 0.2 on T^d around a uniform centre (De Bortoli et
    al. 2022, high-dimensional tori); mean log p = −d/2·log(2πe·0.04), to 1e-50."""
    return _random(Torus(d), key, 1, lambda k: jnp.full((1,), 0.04))


def hyperbolic_mixture() -> HeatMixture:
    """Four heat kernels on H² with s = 0.04, at (±0.4, 0) and (0, ±0.4) in the Poincaré ball:
    the centres of the hyperbolic figure of De Bortoli et al. (2022)."""
    space = Hyperbolic(2)
    ball = [[-0.4, 0.0], [0.4, 0.0], [0.0, -0.4], [0.0, 0.4]]
    return HeatMixture(space, space.from_poincare(ball), 0.04)


def _random(manifold: Manifold, key: Key, modes: int, variances: Callable) -> HeatMixture:
    centre, scale = jax.random.split(key)
    centres = jax.vmap(lambda k: manifold.uniform(k))(jax.random.split(centre, modes))
    return HeatMixture(manifold, centres, variances(scale))


@dataclass(frozen=True)
class Target:
    """A synthetic target: how to make its law from a key that draws centres and scales."""

    name: str
    title: str
    manifold: str
    make: Callable[[Key], Law]


_FIXED = {
    name: Target(name, title, manifold, make)
    for name, title, manifold, make in (
        ("sphere-mixture", "Eight heat kernels on the sphere", "S^2", sphere_mixture),
        ("hyperbolic-mixture", "Four heat kernels on the hyperbolic plane", "H^2",
         lambda key: hyperbolic_mixture()),
        ("gaussians-8", "Eight Gaussians", "R^2", lambda key: flat.eight_gaussians()),
        ("swissroll", "Swiss roll", "R^2", lambda key: flat.swissroll()),
        ("swiss-roll-6d", "A swiss roll hidden in six noisy coordinates", "R^6",
         lambda key: flat.swissroll_6d()),
        ("moons", "Two half moons", "R^2", lambda key: flat.moons()),
        ("spirals", "Two spirals", "R^2", lambda key: flat.spirals()),
        ("checkerboard", "Checkerboard", "R^2", lambda key: flat.Checkerboard()),
        ("pinwheel", "Pinwheel of five arms", "R^2", lambda key: flat.Pinwheel()),
    )
}  # fmt: skip
_FAMILY = re.compile(r"(so3-mixture|torus)-([1-9][0-9]{0,3})")


def target(name: str) -> Target:
    """The synthetic target of that name; ``so3-mixture-M`` and ``torus-d`` exist for every number
    up to 9999. **Raises:** ``DataError`` with the nearest name if unknown."""
    if name in _FIXED:
        return _FIXED[name]
    match = _FAMILY.fullmatch(name)
    if match is None:
        raise nearest("synthetic target", name, SYNTHETIC)
    number = int(match[2])
    if match[1] == "torus":
        title = f"One wrapped normal on the torus of dimension {number}"
        return Target(name, title, f"T^{number}", lambda key: torus(key, number))
    title = f"{number} heat kernels on the rotations"
    return Target(name, title, "SO(3)", lambda key: so3_mixture(key, number))


SYNTHETIC = (*_FIXED, "so3-mixture-16", "so3-mixture-32", "so3-mixture-64", "torus-10")
"""The names that are listed."""


def is_synthetic(name: str) -> bool:
    """Whether ``target`` knows the name."""
    return name in SYNTHETIC or _FAMILY.fullmatch(name) is not None
