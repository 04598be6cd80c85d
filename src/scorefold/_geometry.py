"""The contracts of a geometry and of its heat kernel: one point in, one point out.

They stand in one file because each names the other: a manifold has its heat kernel, which is a
density on the manifold. What a manifold says beyond its geometry are facts in small values
(numbers, words, named tuples) that the rooms above interpret; every one has a default.
"""

from __future__ import annotations

import abc
import dataclasses
import inspect
import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from scorefold._matmul import tensordot
from scorefold._oneline import one_line
from scorefold._systems import System, rings
from scorefold._types import Key, Point, Scalar, ScalarLike, safe_norm

AnyArray = TypeVar("AnyArray", Array, np.ndarray)

_FORGOTTEN = 80.0
"""λ₁s after which Brownian motion has forgotten where it began: e^{−λ₁s/2} is below 1e-17."""


class HeatKernel(eqx.Module):
    """p_s(x | x₀), the fundamental solution of ∂_s p = ½Δp, with respect to Riemannian volume.

    ``s`` is variance-time: Brownian motion with unit speed has moved for time s. Each method
    takes one point, one centre and one scalar ``s > 0``.
    """

    @property
    def radial(self) -> bool:
        """Whether it is a function of distance and s alone."""
        return False

    @abc.abstractmethod
    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        """log p_s(x | x₀) in nats."""

    @abc.abstractmethod
    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        """∇_x log p_s(x | x₀), a tangent vector at x."""

    @abc.abstractmethod
    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        """One exact draw from p_s(· | x₀)."""


class SineVolume(NamedTuple):
    """A factor on which exp contracts volumes: in every direction the volume element at distance r
    is (sin ar / ar)^k up to the cut locus at r = ``cut``. ``power``: k; ``rate``: a."""

    power: int
    rate: float
    cut: float


class Chords(NamedTuple):
    """Coordinates whose flat distance is at most the geodesic one, shape (n, m), float64, and
    their ``periods``, shape (m,), 0 for none. ``ordered``: whether the nearest in one distance is
    the nearest in the other."""

    coordinates: np.ndarray
    periods: np.ndarray
    ordered: bool = False


class Manifold(eqx.Module):
    """A complete Riemannian manifold whose points are arrays of one fixed ambient ``shape``.

    Methods of geometry take ONE point (shape ``shape``) and one tangent vector (the same shape), in
    float32 or float64, and keep the dtype; use ``jax.vmap`` for many. Tangent vectors are
    written in ambient coordinates. All methods are finite, with finite gradients, everywhere:
    at coincident points and on the cut locus the documented tie-break applies.

    Densities in this library are with respect to the Riemannian volume of this class.

    A geometry states what is abstract here, and whatever else differs from what is derived. No
    geometry derives from another: what the other states would be believed of it.
    """

    def __init_subclass__(cls, **arguments: object) -> None:
        super().__init_subclass__(**arguments)
        for base in cls.__mro__[1:]:
            if issubclass(base, Manifold) and not inspect.isabstract(base):
                raise TypeError(
                    f"{cls.__name__}: derive it from Manifold, and hold a {base.__name__} as a "
                    f"field where it helps. What {base.__name__} states of itself (distances, "
                    "volume, heat kernel) would be believed of it."
                )

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
    def heat(self) -> HeatKernel:
        """The exact heat kernel (generator ½Δ)."""

    @abc.abstractmethod
    def origin(self, dtype: DTypeLike | None = None) -> Point:
        """The base point: 0, e₀, the identity."""

    @abc.abstractmethod
    def exp(self, x: Point, v: Point) -> Point:
        """exp_x(v): the end of the geodesic that leaves x with velocity v at time 1.
        The result lies on the manifold to rounding, whatever the length of v."""

    @abc.abstractmethod
    def log(self, x: Point, y: Point) -> Point:
        """log_x(y): the shortest tangent vector at x with exp_x(v) = y."""

    @abc.abstractmethod
    def project(self, u: Point) -> Point:
        """The point nearest to an ambient array (a smooth retraction near the manifold)."""

    @abc.abstractmethod
    def frame(self, x: Point) -> Array:
        """An orthonormal basis of the tangent space at x, shape ``(dim, *shape)``."""

    @abc.abstractmethod
    def transport(self, x: Point, y: Point, v: Point) -> Point:
        """Parallel transport of the tangent vector v from x to y along the shortest geodesic."""

    # -- its size: infinite unless stated ---------------------------------------------------------
    @property
    def log_volume(self) -> float:
        """log of the total Riemannian volume in nats; ``inf`` if the manifold is not compact."""
        return math.inf

    @property
    def diameter(self) -> float:
        """Largest distance between two points; ``inf`` if the manifold is not compact."""
        return math.inf

    @property
    def spectral_gap(self) -> float:
        """Smallest non-zero eigenvalue λ₁ of −Δ (compact) or the bottom of its spectrum:
        the score of the heat flow decays like e^{−λ₁s/2}. d for S^d, 1 for T^d, 2 for SO(3),
        ((d−1)/2)² for H^d, 0 for R^d."""
        return 0.0

    @property
    def injectivity_radius(self) -> float:
        """Distance of the nearest cut point: exp_x is one to one on vectors shorter than that; half
        the smallest period of flat coordinates. **Raises:** ``TypeError`` elsewhere unless stated:
        nothing bounds it from below."""
        if self.periods is None:
            raise TypeError(f"{self.name}: state injectivity_radius, the distance of cut points.")
        return float(np.min(self.periods, initial=math.inf, where=self.periods > 0)) / 2.0

    # -- geometry, derived for submanifolds with the metric of the ambient space -------------
    def dist(self, x: Point, y: Point) -> Scalar:
        """Geodesic distance, accurate relative to itself at every distance; gradient 0 at x = y."""
        return self.norm(x, self.log(x, y))

    def inner(self, x: Point, u: Point, v: Point) -> Scalar:
        """Riemannian inner product ⟨u, v⟩_x of two tangent vectors."""
        return jnp.sum(u * v)

    def covariant(self, x: Point, v: Point, e: Point, dv: Point, u: Point) -> Scalar:
        """⟨∇_e V, u⟩ of a tangent field with V(x) = v, for tangent vectors e and u, where dv is the
        derivative of the ambient coordinates of V along e: ⟨dv, u⟩ of a submanifold with the metric
        of the ambient space, since the part of dv normal to it does not count."""
        return self.inner(x, dv, u)

    def norm(self, x: Point, v: Point) -> Scalar:
        """Riemannian length of a tangent vector; gradient 0 at v = 0."""
        return safe_norm(v)

    def to_tangent(self, x: Point, u: Point) -> Point:
        """Orthogonal projection of an ambient array u onto the tangent space at x."""
        return self.from_components(x, self.components(x, u))

    def exp_log_det(self, x: Point, v: Point) -> Scalar:
        """log |det d(exp_x)_v|: the volume distortion of the exponential map at v.
        A density q(v) in the tangent space becomes q(v)·e^{−exp_log_det} at exp_x(v)."""
        end = self.exp(x, v)

        def column(e: Point) -> Array:
            return self.components(end, jax.jvp(lambda u: self.exp(x, u), (v,), (e,))[1])

        return jnp.linalg.slogdet(jax.vmap(column)(self.frame(x)))[1]

    def uniform(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        """One draw from the uniform law (volume / total volume). Raises ``ValueError`` if the
        manifold is not compact."""
        if not self.compact:
            raise ValueError(f"{self.name} is not compact: it has no uniform law.")
        return self.heat.sample(key, self.origin(dtype), _FORGOTTEN / self.spectral_gap)

    def defect(self, x: Point) -> Scalar:
        """How far an ambient array is from satisfying the defining equations."""
        gap = self.project(x) - x
        if self.periods is not None:
            turns = np.where(self.periods > 0, self.periods, np.inf).astype(x.dtype)
            gap = gap - jnp.where(self.periods > 0, turns * jnp.round(gap / turns), 0.0)
        return jnp.max(jnp.abs(gap))

    def embed(self, x: Point) -> Array:
        """Smooth injective features of size O(1) for networks, periodic as points are, ``(m,)``."""
        return jnp.ravel(x)

    def killing(self, x: Point) -> Array:
        """Generators of isometries at x, shape ``(k, *shape)``: divergence-free fields that span
        the tangent space (rotations for the sphere, left-invariant fields for a group)."""
        raise ValueError(f"No isometries of {self.name} are known: use AmbientOutput.")

    # -- facts for the rooms above ----------------------------------------------------------------
    @property
    def factors(self) -> tuple[Manifold, ...]:
        """Of a product its factors, nested ones taken apart; a plain manifold is its only one."""
        return (self,)

    @property
    def periods(self) -> np.ndarray | None:
        """Where coordinates are numbers with the flat metric, their periods, shape ``shape``: 0 on
        R^d, 2π on T^d. None: the metric is not flat, or not in these coordinates. Distances, pinned
        Brownian motion and normal laws are known in closed form there."""
        return None

    @property
    def sine_volumes(self) -> tuple[SineVolume, ...] | None:
        """The factors on which exp contracts volumes; empty where it does not, None: not known."""
        return None if self.periods is None else ()

    @property
    def negative_type(self) -> Literal["strict", "weak"] | None:
        """Whether Σ a_i a_j dist(x_i, x_j) ≤ 0 for all Σ a_i = 0, with equality for a = 0 only
        (strict) or also elsewhere. None: it does not hold, or is not known."""
        return "weak" if self.dim == 1 and self.compact else None

    @property
    def tangent_output(self) -> Literal["ambient", "frame", "killing"]:
        """How the output of a network becomes tangent: as the projection of an ambient vector, as
        components in ``frame``, or as weights of the fields of ``killing`` (which suits where one
        point is several arrays as well)."""
        return "ambient"

    @property
    def chart(self) -> Literal["exponential", "stereographic"]:
        """The map of R^d onto it that suits a flat model carried along."""
        return "exponential"

    @property
    def picture(self) -> str:
        """The picture that suits it. ``sphere``: unit vectors of R³, on a map; ``rotations``:
        matrices; ``disk``: the hyperboloid of dimension 2; ``angles``: radians; ``circle``: unit
        vectors of R²; ``coordinates``: numbers; ``factors``: those of the factors. All else
        (``embedding``): pairs of the coordinates of ``embed``."""
        return "embedding"

    @property
    def systems(self) -> tuple[System, ...]:
        """How tables of it are read and written. The first is that of points that came from no
        table; of several with one number of columns the first is the one read by position."""
        roles = tuple(f"x{i}" for i in range(math.prod(self.shape)))
        if self.periods is None or not (self.periods > 0).any():
            return (System("numbers", "numbers of a point", roles),)
        place = rings(self.periods)
        return (System("numbers", "numbers of a point", roles, place=place, ambiguous=True),)

    @property
    def readers(self) -> str:
        """Which functions read other forms of the same points; ends the message about a shape."""
        return "No other form is read."

    def audit(self, name: str, points: np.ndarray) -> None:
        """Raise ``PointsError`` for rows of finite float64 ``points``, shape ``(n, *shape)``, that
        show a recognisable mistake (zero vectors, reflections, degrees, the wrong sheet)."""

    # -- many points on the host, in NumPy and float64 ---------------------------------
    def normalised(self, x: np.ndarray) -> np.ndarray:
        """Points (n, *shape) in one form: angles in [0, 2π), unit vectors in 64 bits."""
        p = self.periods
        if p is None or not p.any():
            return x
        turn = np.where(p > 0, p, 1.0)
        # The first remainder may round up to the period.
        return np.where(p > 0, np.remainder(np.remainder(x, turn), turn), x)

    def distances(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Geodesic distances of normalised points that broadcast over their leading axes."""
        p, axes = self.periods, len(self.shape)
        if p is not None:
            gap = np.abs(x - y)
            return row_norms(np.where(p > 0, np.minimum(gap, p - gap), gap))
        lead = np.broadcast_shapes(*(z.shape[: z.ndim - axes] for z in (x, y)))
        a, b = (np.broadcast_to(z, (*lead, *self.shape)).reshape(-1, *self.shape) for z in (x, y))
        found = _by_jax(self, jnp.asarray(a), jnp.asarray(b))
        return np.asarray(found, np.float64).reshape(lead)

    def chords(self, x: np.ndarray) -> Chords | None:
        """Where a tree can search for neighbours of normalised points; None: nowhere."""
        return None if self.periods is None else Chords(x, self.periods, ordered=True)

    def chord(self, distance: np.ndarray) -> np.ndarray:
        """The largest distance in ``chords`` of two points at a geodesic distance."""
        return distance

    # -- derived, the same for all ---------------------------------------------------------------
    def __repr__(self) -> str:
        """With every argument, also those left at their defaults: ``Sphere(d=2)``."""
        said = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self))
        return f"{type(self).__name__}({', '.join(said)})"

    def __pdoc__(self, **_: object) -> object:
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

    @property
    def euclidean(self) -> bool:
        """Whether it is R^d: no product, coordinates without periods."""
        p = self.periods
        return p is not None and not p.any() and len(self.factors) == 1

    @property
    def toral(self) -> bool:
        """Whether it is T^d: no product, all coordinates angles."""
        p = self.periods
        return p is not None and bool((p == 2.0 * math.pi).all()) and len(self.factors) == 1

    @property
    def flat_coordinates(self) -> np.ndarray:
        """Which coordinates are those of R^d, to be shifted and scaled, shape ``shape``."""
        if len(self.factors) == 1:
            return np.full(self.shape, self.factors[0].euclidean)
        return np.concatenate([np.full(math.prod(f.shape), f.euclidean) for f in self.factors])

    def split(self, x: AnyArray) -> tuple[AnyArray, ...]:
        """The parts of points or tangent vectors (…, *shape), each in its factor's shape."""
        return (x,)

    def join(self, parts: Sequence[Array]) -> Array:
        """One point from the parts: the inverse of ``split``."""
        return parts[0]

    def belongs(self, x: Point, atol: float = 1e-5) -> Array:
        """Whether ``x`` satisfies the defining equations to ``atol``; False for NaN and inf."""
        return jnp.all(jnp.isfinite(x)) & (self.defect(x) <= atol)

    def components(self, x: Point, v: Point) -> Array:
        """Components ⟨v, E_i(x)⟩ of a tangent vector in ``frame(x)``, shape ``(dim,)``."""
        return jax.vmap(lambda e: self.inner(x, v, e))(self.frame(x))

    def normal_coordinates(self, x: Point, y: Point) -> tuple[tuple[Scalar, ...], Scalar]:
        """The components of log_x(y) in ``frame(x)``, a number each, and ``exp_log_det`` there.

        What ``components``, ``log`` and ``exp_log_det`` give, up to rounding. Where it is stated in
        single numbers a compiler makes one loop of it over many pairs of points, which takes a
        hundredth of the time of loops over arrays of two or three numbers."""
        v = self.log(x, y)
        return tuple(self.components(x, v)), self.exp_log_det(x, v)

    def from_components(self, x: Point, c: Array) -> Point:
        """The tangent vector Σ c_i E_i(x)."""
        return tensordot(c, self.frame(x), axes=1)

    def normal(self, key: Key, x: Point) -> Point:
        """One standard normal draw in the tangent space at x."""
        return self.from_components(x, jax.random.normal(key, (self.dim,), x.dtype))

    def gradient(self, x: Point, df: Point) -> Point:
        """Riemannian gradient Σ df(E_i) E_i of a function whose ambient derivative at x, as
        returned by ``jax.grad``, is df. On Minkowski space it is not ``to_tangent(x, df)``."""
        frame = self.frame(x)
        return self.from_components(x, tensordot(frame, df, axes=df.ndim))


def row_norms(v: np.ndarray) -> np.ndarray:
    """Lengths of vectors along the last axis."""
    return np.sqrt(np.einsum("...i,...i->...", v, v))


@jax.jit(static_argnums=0)
def _by_jax(manifold: Manifold, x: Array, y: Array) -> Array:
    return jax.vmap(manifold.dist)(x, y)


def require_manifold(value: object) -> None:
    """**Raises:** ``TypeError`` in one line unless ``value`` is a manifold."""
    if not isinstance(value, Manifold):
        raise TypeError(
            f"manifold: give one such as Sphere(2), got {one_line(repr(value))[:80]}; "
            "manifold_from_name reads names."
        )
