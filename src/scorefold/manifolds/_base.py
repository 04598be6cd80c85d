"""The contract of a geometry: one point in, one point out."""

from __future__ import annotations

import abc
import dataclasses
import math
from typing import TYPE_CHECKING, Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar

if TYPE_CHECKING:
    from scorefold.heat import HeatKernel

__all__ = ["Manifold"]


class Manifold(eqx.Module):
    """A complete Riemannian manifold whose points are arrays of one fixed ambient ``shape``.

    Every method takes ONE point (shape ``shape``) and one tangent vector (the same shape), in
    float32 or float64, and keeps the dtype; use ``jax.vmap`` for many. Tangent vectors are
    written in ambient coordinates. All methods are finite, with finite gradients, everywhere:
    at coincident points and on the cut locus the documented tie-break applies.

    Densities in this library are with respect to the Riemannian volume of this class.
    """

    # -- what it is ---------------------------------------------------------------------------
    @property
    @abc.abstractmethod
    def name(self) -> str:
        """Short name as written in tables and saved files, e.g. ``"S^2"``."""

    @property
    @abc.abstractmethod
    def dim(self) -> int:
        """Intrinsic dimension d."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the array that holds one point."""

    @property
    @abc.abstractmethod
    def log_volume(self) -> float:
        """log of the total Riemannian volume in nats; ``inf`` if the manifold is not compact."""

    @property
    @abc.abstractmethod
    def diameter(self) -> float:
        """Largest distance between two points; ``inf`` if the manifold is not compact."""

    @property
    @abc.abstractmethod
    def spectral_gap(self) -> float:
        """Smallest non-zero eigenvalue λ₁ of −Δ (compact) or the bottom of its spectrum:
        the score of the heat flow decays like e^{−λ₁s/2}. d for S^d, 1 for T^d, 2 for SO(3),
        ((d−1)/2)² for H^d, 0 for R^d."""

    @property
    @abc.abstractmethod
    def readers(self) -> str:
        """Which functions read other forms of the same points; ends the message about a shape."""

    @property
    @abc.abstractmethod
    def heat(self) -> HeatKernel:
        """The exact heat kernel (generator ½Δ)."""

    @abc.abstractmethod
    def origin(self, dtype: DTypeLike | None = None) -> Point:
        """The base point: 0, e₀, the identity."""

    # -- geometry ------------------------------------------------------------------------------
    @abc.abstractmethod
    def exp(self, x: Point, v: Point) -> Point:
        """exp_x(v): the end of the geodesic that leaves x with velocity v at time 1.
        The result lies on the manifold to rounding, whatever the length of v."""

    @abc.abstractmethod
    def log(self, x: Point, y: Point) -> Point:
        """log_x(y): the shortest tangent vector at x with exp_x(v) = y."""

    @abc.abstractmethod
    def dist(self, x: Point, y: Point) -> Scalar:
        """Geodesic distance, accurate relative to itself at every distance; gradient 0 at x = y."""

    @abc.abstractmethod
    def inner(self, x: Point, u: Point, v: Point) -> Scalar:
        """Riemannian inner product ⟨u, v⟩_x of two tangent vectors. One of the two may have a
        part normal to the manifold; it does not count."""

    @abc.abstractmethod
    def norm(self, x: Point, v: Point) -> Scalar:
        """Riemannian length of a tangent vector; gradient 0 at v = 0."""

    @abc.abstractmethod
    def to_tangent(self, x: Point, u: Point) -> Point:
        """Orthogonal projection of an ambient array u onto the tangent space at x."""

    @abc.abstractmethod
    def project(self, u: Point) -> Point:
        """The point nearest to an ambient array (a smooth retraction near the manifold)."""

    @abc.abstractmethod
    def frame(self, x: Point) -> Array:
        """An orthonormal basis of the tangent space at x, shape ``(dim, *shape)``."""

    @abc.abstractmethod
    def transport(self, x: Point, y: Point, v: Point) -> Point:
        """Parallel transport of the tangent vector v from x to y along the shortest geodesic."""

    @abc.abstractmethod
    def exp_log_det(self, x: Point, v: Point) -> Scalar:
        """log |det d(exp_x)_v|: the volume distortion of the exponential map at v.
        A density q(v) in the tangent space becomes q(v)·e^{−exp_log_det} at exp_x(v)."""

    @abc.abstractmethod
    def uniform(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        """One draw from the uniform law (volume / total volume). Raises ``ValueError`` if the
        manifold is not compact."""

    @abc.abstractmethod
    def defect(self, x: Point) -> Scalar:
        """How far an ambient array is from satisfying the defining equations."""

    @abc.abstractmethod
    def embed(self, x: Point) -> Array:
        """Smooth coordinates of size O(1) for a network, shape ``(m,)``: injective, and periodic
        where the manifold is."""

    @abc.abstractmethod
    def killing(self, x: Point) -> Array:
        """Generators of isometries at x, shape ``(k, *shape)``: divergence-free fields that span
        the tangent space (rotations for the sphere, left-invariant fields for a group)."""

    @abc.abstractmethod
    def audit(self, name: str, points: np.ndarray) -> None:
        """Raise ``PointsError`` for rows of finite float64 ``points``, shape ``(n, *shape)``, that
        show a recognisable mistake (zero vectors, reflections, degrees, the wrong sheet)."""

    # -- derived, the same for all ---------------------------------------------------------------
    def __repr__(self) -> str:
        """With every argument, also those left at their defaults: ``Sphere(d=2)``."""
        said = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self))
        return f"{type(self).__name__}({', '.join(said)})"

    def __pdoc__(self, **_: Any) -> Any:
        """The same where equinox writes a module that holds the manifold."""
        from wadler_lindig import TextDoc  # what equinox writes with

        return TextDoc(repr(self))

    @property
    def compact(self) -> bool:
        return self.log_volume < math.inf

    @property
    def volume(self) -> float:
        """Total Riemannian volume; ``inf`` if the manifold is not compact or above 1e308."""
        return math.exp(self.log_volume) if self.log_volume < 709.0 else math.inf

    def belongs(self, x: Point, atol: float = 1e-5) -> Array:
        """Whether ``x`` satisfies the defining equations to ``atol``; False for NaN and inf."""
        return jnp.all(jnp.isfinite(x)) & (self.defect(x) <= atol)

    def components(self, x: Point, v: Point) -> Array:
        """Components ⟨v, E_i(x)⟩ of a tangent vector in ``frame(x)``, shape ``(dim,)``."""
        return jax.vmap(lambda e: self.inner(x, v, e))(self.frame(x))

    def from_components(self, x: Point, c: Array) -> Point:
        """The tangent vector Σ c_i E_i(x)."""
        return jnp.tensordot(c, self.frame(x), axes=1)

    def normal(self, key: Key, x: Point) -> Point:
        """One standard normal draw in the tangent space at x."""
        return self.from_components(x, jax.random.normal(key, (self.dim,), x.dtype))

    def gradient(self, x: Point, df: Point) -> Point:
        """Riemannian gradient Σ df(E_i) E_i of a function whose ambient derivative at x, as
        returned by ``jax.grad``, is df. On Minkowski space it is not ``to_tangent(x, df)``."""
        frame = self.frame(x)
        return self.from_components(x, jnp.tensordot(frame, df, axes=df.ndim))
