"""The network of a learned bridge: a field that steers to one of its two ends."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Point, Scalar
from scorefold.bridges.networks.affine import AffineScore
from scorefold.bridges.reference.linear import linear_transition
from scorefold.fields import TangentField, TangentOutput
from scorefold.manifolds import Manifold
from scorefold.noising import Noising


class ReferenceScore(eqx.Module):
    """2b(x), the field that leaves the reference as it is."""

    reference: Noising

    def __call__(self, x: Point, r: Scalar) -> Point:
        return 2.0 * self.reference.drift(x)

    def spread(self, z: Array, r: Scalar, ratio: Scalar) -> Array:
        """z: nothing bends the noise."""
        return z


class Frame(eqx.Module):
    """What a network sees of a point, and the size of what it is to answer."""

    @abc.abstractmethod
    def inputs(self, manifold: Manifold, x: Point, r: Scalar) -> tuple[Array, Scalar]:
        """Coordinates and the noise level in them."""

    @abc.abstractmethod
    def scale(self, r: Scalar) -> Array:
        """The size of targets at r: one number, or one a coordinate on flat space."""


class CurvedFrame(Frame):
    """The embedding of the point, and the scale of the reference."""

    reference: Noising

    def inputs(self, manifold: Manifold, x: Point, r: Scalar) -> tuple[Array, Scalar]:
        return manifold.embed(x), r

    def scale(self, r: Scalar) -> Array:
        return self.reference.scale(r)


class FlatFrame(Frame):
    """(x − shift)/width, and mτ/√(v(m²τ² + v)) with τ² the variance of each coordinate at the end,
    ``std`` = τ, and (m, v) the moments of the reference over r (Karras et al. 2022, Table 1)."""

    reference: Noising
    std: Array = fixed()
    shift: Array = fixed()
    width: Array = fixed()

    def inputs(self, manifold: Manifold, x: Point, r: Scalar) -> tuple[Array, Scalar]:
        level = r / jnp.mean(self.width**2)
        return manifold.embed((x - self.shift) / self.width), level

    def scale(self, r: Scalar) -> Array:
        m, _, v = linear_transition(self.reference).moments(r)
        return m * self.std / jnp.sqrt(v * (m * m * self.std**2 + v))


class BridgeField(TangentField):
    """F_θ(x, r) = start(x, r) + scale(r) · output(network(inputs(x, r))),  r the variance-time
    left to the end that it steers to.

    F is the gradient of log of a function that the reference has smoothed for r, so its finest
    wave has decayed by e^{−|b|²r/2}: the network's features see r. Below ``floor`` the field is
    that at ``floor``. ``start`` is what the field is before anything is learned: the affine field
    of Gaussian laws, or the reference itself. ``frame`` makes inputs and targets O(1).
    """

    manifold: Manifold
    network: Callable[[Array, Scalar], Array]
    output: TangentOutput
    floor: float
    start: AffineScore | ReferenceScore
    frame: Frame

    def __call__(self, x: Point, r: Scalar) -> Point:
        return self.start(x, jnp.maximum(r, self.floor)) + self.residual(x, r)

    def residual(self, x: Point, r: Scalar) -> Point:
        """What the network adds."""
        r = jnp.maximum(r, self.floor)
        c = self.network(*self.frame.inputs(self.manifold, x, r))
        return self.frame.scale(r) * self.output(self.manifold, x, c)

    def scale(self, r: Scalar) -> Array:
        """The size of targets at r."""
        return self.frame.scale(r)
