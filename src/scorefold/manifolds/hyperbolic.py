"""Hyperbolic space H^d as the upper sheet of the hyperboloid."""

import functools
import itertools
import math
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from scorefold import heat
from scorefold._geometry import Chords, Manifold, SineVolume, row_norms
from scorefold._systems import System
from scorefold._types import Point, Scalar, Values, safe_norm
from scorefold.manifolds._check import as_numbers, check_dimension, read_array, refuse_rows
from scorefold.manifolds._radial import length, log_sinhc, sinhc, sum_of_squares


class Hyperbolic(Manifold):
    """H^d = {x ∈ R^{1+d}: ⟨x, x⟩ = −1, x₀ > 0}, ⟨u, v⟩ = −u₀v₀ + u₁v₁ + … + u_dv_d, curvature −1.

    The time coordinate comes first. The space part x_s holds the point: x₀ = √(1 + |x_s|²) and,
    for a tangent vector, v₀ = v_s·x_s/x₀ are recomputed from it, so every result is on the sheet
    to rounding.

    **Range.** Coordinates grow like e^r/2 with the distance r from the origin, so points are
    stored to eps·sinh r (float32: 4e-6 at r = 5, 1e-3 at r = 10; float64: 1e-12 at r = 10), and
    products of vectors, transport and divergences lose some of that and no more.
    No geodesic is followed further than R and no point lies further than R from the origin,
    R = 20 in float32 and 150 in float64: ``exp`` shortens longer vectors to length R and moves an
    end beyond R along its ray to R; ``project`` does the latter.
    """

    d: int = 2

    def __check_init__(self) -> None:
        check_dimension("Hyperbolic", self.d, 2, "; H^1 is Euclidean(1)")

    @property
    def name(self) -> str:
        return f"H^{self.d}"

    @property
    def dim(self) -> int:
        return self.d

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.d + 1,)

    @property
    def injectivity_radius(self) -> float:
        return math.inf

    @property
    def spectral_gap(self) -> float:
        return 0.25 * (self.d - 1) ** 2

    @property
    def sine_volumes(self) -> tuple[SineVolume, ...]:
        return ()

    @property
    def negative_type(self) -> Literal["strict"]:
        return "strict"

    @property
    def tangent_output(self) -> Literal["frame"]:
        """A projected ambient vector grows like e^r with the distance r from the origin."""
        return "frame"

    @property
    def picture(self) -> str:
        return "disk" if self.d == 2 else "embedding"

    @property
    def systems(self) -> tuple[System, ...]:
        space = range(1, self.d + 1)
        return (
            System("hyperboloid", "hyperboloid", ("time", *(f"x{i}" for i in space))),
            System(
                "poincare", "Poincaré ball", tuple(f"p{i}" for i in space),
                lambda v, degrees: self.from_poincare(v),
                lambda x, degrees: self.to_poincare(x),
                outside=lambda v, degrees: np.linalg.norm(v, axis=1) >= 1, ordered=False,
            ),
        )  # fmt: skip

    def distances(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        # sinh²(r/2) = sinh²((a − b)/2) + sinh a sinh b sin²(φ/2): two sides and the angle.
        sizes = [row_norms(z[..., 1:]) for z in (x, y)]
        ends = [
            z[..., 1:] / np.where(s > 0, s, 1.0)[..., None]
            for z, s in zip((x, y), sizes, strict=True)
        ]
        radial = np.sinh(0.5 * (np.arcsinh(sizes[0]) - np.arcsinh(sizes[1])))
        across = 0.5 * np.sqrt(sizes[0]) * np.sqrt(sizes[1]) * row_norms(ends[0] - ends[1])
        return 2.0 * np.arcsinh(np.hypot(radial, across))

    def chords(self, x: np.ndarray) -> Chords:
        """log at the origin, which shortens distances where curvature is not positive."""
        size = np.linalg.norm(x[:, 1:], axis=1, keepdims=True)
        flat = np.where(size > 0, np.arcsinh(size) / np.where(size > 0, size, 1.0), 1.0) * x[:, 1:]
        return Chords(flat, np.zeros(self.d))

    @property
    def readers(self) -> str:
        return "Hyperbolic.from_poincare(points) reads the Poincaré ball."

    @property
    def heat(self) -> heat.HeatKernel:
        return heat.IsotropicHeat(self, heat.HyperbolicProfile(self.d))

    def origin(self, dtype: DTypeLike | None = None) -> Point:
        return jnp.zeros(self.shape, dtype or jnp.result_type(float)).at[0].set(1.0)

    def exp(self, x: Point, v: Point) -> Point:
        length = self.norm(x, v)
        limit = _limit(x)
        kept = jnp.minimum(length, limit)
        shorten = jnp.where(length > limit, limit / jnp.where(length > limit, length, 1.0), 1.0)
        return _on_sheet(jnp.cosh(kept) * x[1:] + sinhc(kept) * (shorten * v[1:]))

    def log(self, x: Point, y: Point) -> Point:
        chord = _half_chord(x, y)
        # y − cosh(r)x = (y − x) − 2 sinh²(r/2)x, and r/sinh r in terms of sinh(r/2).
        space = (y[1:] - x[1:]) - 2.0 * (chord * chord) * x[1:]
        return _tangent(x, space / sinhc(2.0 * jnp.arcsinh(chord)))

    def normal_coordinates(self, x: Point, y: Point) -> tuple[tuple[Scalar, ...], Scalar]:
        # As ``log`` and ``components``, number by number.
        square = _half_chord_square(x, y)
        present = square > 0
        chord = jnp.sqrt(jnp.where(present, square, 1.0))
        root = jnp.sqrt(1.0 + square)
        half = jnp.log1p(chord + square / (1.0 + root))
        ratio = jnp.where(present, half / (chord * root), 1.0)
        space = [ratio * (b - a - 2.0 * square * a) for a, b in zip(x[1:], y[1:], strict=True)]
        along = _sum([u * a for u, a in zip(space, x[1:], strict=True)]) / (x[0] * (1.0 + x[0]))
        v = tuple(u - along * a for u, a in zip(space, x[1:], strict=True))
        return v, -(self.d - 1) * jnp.log(ratio)

    def dist(self, x: Point, y: Point) -> Scalar:
        return 2.0 * jnp.arcsinh(_half_chord(x, y))

    def components(self, x: Point, v: Point) -> Array:
        # v carried to the origin: of size |v|, where −u₀v₀ + u_s·v_s is a difference of e^{2r}|v|.
        along = jnp.sum(v[1:] * x[1:]) / (x[0] * (1.0 + x[0]))
        return v[1:] - along * x[1:]

    def inner(self, x: Point, u: Point, v: Point) -> Scalar:
        return jnp.sum(self.components(x, u) * self.components(x, v))

    def norm(self, x: Point, v: Point) -> Scalar:
        return safe_norm(self.components(x, v))

    def covariant(self, x: Point, v: Point, e: Point, dv: Point, u: Point) -> Scalar:
        """By the components c of V in the frame, which is that of the Poincaré ball, stretched:
        ∇_e V = Σ_i {dc_i + (c·p) ε_i − (c·ε) p_i} E_i, ε the components of e, p = x_s/(1 + x₀)."""
        space, height = x[1:], x[0]
        along = jnp.sum(v[1:] * space) / (height * (1.0 + height))
        more = (jnp.sum(dv[1:] * space) + jnp.sum(v[1:] * e[1:])) / (height * (1.0 + height))
        more = more - along * e[0] * (1.0 / height + 1.0 / (1.0 + height))
        c, dc = v[1:] - along * space, dv[1:] - more * space - along * e[1:]
        epsilon, p = self.components(x, e), space / (1.0 + height)
        change = dc + jnp.sum(c * p) * epsilon - jnp.sum(c * epsilon) * p
        return jnp.sum(change * self.components(x, u))

    def to_tangent(self, x: Point, u: Point) -> Point:
        return _tangent(x, u[1:] + (jnp.sum(x[1:] * u[1:]) - x[0] * u[0]) * x[1:])

    def project(self, u: Point) -> Point:
        """The point of the sheet with the same space part, within R of the origin."""
        return _on_sheet(u[1:])

    def frame(self, x: Point) -> Array:
        # The coordinate vectors at the origin, carried along the ray to x.
        space = x[1:]
        e = jnp.eye(self.d, dtype=x.dtype) + space[:, None] * (space / (1.0 + x[0]))[None, :]
        return jnp.concatenate([space[:, None], e], axis=1)

    def transport(self, x: Point, y: Point, v: Point) -> Point:
        """The components turn in the plane of x_s and y_s, by tan(θ/2) = |x_s∧y_s| / a with
        a = (1 + x₀)(1 + y₀) − x_s·y_s = 2 + x₀ + y₀ + 2 sinh²(r/2): the gyration of the Poincaré
        ball (Ungar 2005, "Analytic hyperbolic geometry", Chapter 7)."""
        c, gap, chord = self.components(x, v), y[1:] - x[1:], _half_chord(x, y)
        a = 2.0 + x[0] + y[0] + 2.0 * chord * chord
        half = (jnp.outer(x[1:], gap) - jnp.outer(gap, x[1:])) / a
        turned = jnp.sum(half * c[None], axis=1)
        again = jnp.sum(half * turned[None], axis=1)
        scale = 2.0 / (1.0 + 0.5 * jnp.sum(half * half))
        return self.from_components(y, c + scale * (turned + again))

    def exp_log_det(self, x: Point, v: Point) -> Scalar:
        """(d − 1) log(sinh r / r), r = |v|."""
        return (self.d - 1) * log_sinhc(self.norm(x, v))

    def defect(self, x: Point) -> Scalar:
        """|x₀ − √(1 + |x_s|²)| relative to the root."""
        height = _height(x[1:])
        return jnp.abs(x[0] - height) / height

    def embed(self, x: Point) -> Array:
        """log of x at the origin, shape ``(d,)``: direction times distance."""
        return x[1:] / sinhc(jnp.arcsinh(safe_norm(x[1:])))

    def killing(self, x: Point) -> Array:
        """The d boosts x ↦ x_i e₀ + x₀ e_i, then the rotations x ↦ x_i e_j − x_j e_i, i < j."""
        i, j = np.triu_indices(self.d, k=1)
        e = jnp.eye(self.d + 1, dtype=x.dtype)
        boosts = x[1:, None] * e[:1] + x[0] * e[1:]
        rotations = x[i + 1][:, None] * e[j + 1] - x[j + 1][:, None] * e[i + 1]
        return jnp.concatenate([boosts, rotations])

    def audit(self, name: str, points: np.ndarray) -> None:
        what = "on the wrong sheet (time coordinate, which comes first, not positive)"
        hint = "Put the time coordinate first, or negate points of the lower sheet."
        refuse_rows(name, points[:, 0] <= 0, points, what, hint)

    # -- readers ---------------------------------------------------------------------------------
    def from_poincare(self, points: Values) -> Array:
        """Points from the Poincaré ball, shape ``(n, d)`` or ``(d,)``:
        x₀ = (1 + |p|²)/(1 − |p|²), x_s = 2p/(1 − |p|²).

        **Raises:** ``ValueError`` naming the rows with |p| ≥ 1 or values not finite.
        """
        p = read_array("points", points, (self.d,), "points of the Poincaré ball")
        size = np.linalg.norm(p, axis=-1, keepdims=True)
        what = "outside the Poincaré ball (length 1 or more)"
        hint = "Points of hyperbolic space have length below 1 there."
        refuse_rows("points", size.reshape(-1) >= 1, p.reshape(-1, self.d), what, hint)
        rest = (1.0 - size) * (1.0 + size)
        space = 2.0 * p / rest
        x = np.concatenate([np.sqrt(1.0 + np.sum(space**2, -1, keepdims=True)), space], -1)
        return jnp.asarray(x, dtype=jnp.result_type(float))

    def to_poincare(self, x: Values) -> np.ndarray:
        """Coordinates x_s/(1 + x₀) in the Poincaré ball, float64."""
        points = as_numbers("x", x).astype(np.float64)
        return points[..., 1:] / (1.0 + points[..., :1])


def _limit(x: Array) -> float:
    """R: products of four coordinates, which derivatives of distances contain, stay finite."""
    return 20.0 if x.dtype == jnp.float32 else 150.0


def _height(space: Array) -> Scalar:
    return safe_norm(jnp.concatenate([jnp.ones((1,), space.dtype), space]))


def _on_sheet(space: Array) -> Point:
    size = safe_norm(space)
    top = math.sinh(_limit(space))
    far = size > top
    space = jnp.where(far, top / jnp.where(far, size, 1.0), 1.0) * space
    return jnp.concatenate([_height(space)[None], space])


def _tangent(x: Point, space: Array) -> Point:
    return jnp.concatenate([(jnp.sum(space * x[1:]) / x[0])[None], space])


def _half_chord(x: Point, y: Point) -> Scalar:
    """sinh(r/2) for r = dist(x, y), as a sum of squares:

        sinh²(r/2) = sinh²((a − b)/2) + sinh a sinh b sin²(φ/2)

    for points at distances a, b from the origin seen at the angle φ. Neither term cancels, for
    near or far points; both are written with y − x, which is exact for near ones.
    """
    p, q = x[1:], y[1:]
    gap, total = q - p, q + p
    sizes = safe_norm(p) + safe_norm(q)
    present = sizes > 0
    # sinh((a − b)/2) = (sinh a − sinh b) / (2 cosh((a + b)/2)), with e^a = cosh a + sinh a.
    difference = jnp.sum(gap * total / jnp.where(present, sizes, 1.0))
    growth = jnp.sqrt(x[0] + safe_norm(p)) * jnp.sqrt(y[0] + safe_norm(q))
    radial = difference / (growth + 1.0 / growth)
    # sinh a sinh b sin²(φ/2) = ½(|p||q| − p·q); below 90° that is ½|p∧q|²/(|p||q| + p·q).
    product, dot = safe_norm(p) * safe_norm(q), jnp.sum(p * q)
    acute = dot > 0
    i, j = np.triu_indices(p.shape[0], k=1)
    wedge = 0.5 * (gap[i] * total[j] - gap[j] * total[i])
    narrow = wedge / jnp.sqrt(2.0 * jnp.where(acute, product + dot, 1.0))
    wide = jnp.where(acute, 1.0, 0.5 * (product - dot))
    positive = wide > 0
    wide = jnp.where(positive & ~acute, jnp.sqrt(jnp.where(positive, wide, 1.0)), 0.0)
    narrow = jnp.where(acute, narrow, 0.0)
    return safe_norm(jnp.concatenate([radial[None], wide[None], narrow]))


def _half_chord_square(x: Point, y: Point) -> Scalar:
    """The square of ``_half_chord``, number by number."""
    p, q = list(x[1:]), list(y[1:])
    gap = [b - a for a, b in zip(p, q, strict=True)]
    total = [b + a for a, b in zip(p, q, strict=True)]
    sizes = length(p), length(q)
    both = sizes[0] + sizes[1]
    difference = _sum([a * b for a, b in zip(gap, total, strict=True)])
    growth = jnp.sqrt(x[0] + sizes[0]) * jnp.sqrt(y[0] + sizes[1])
    radial = difference / jnp.where(both > 0, both, 1.0) / (growth + 1.0 / growth)
    product, dot = sizes[0] * sizes[1], _sum([a * b for a, b in zip(p, q, strict=True)])
    acute = dot > 0
    wide = jnp.where(acute, 0.0, 0.5 * (product - dot))
    pairs = itertools.combinations(range(len(p)), 2)
    wedges = [0.5 * (gap[i] * total[j] - gap[j] * total[i]) for i, j in pairs]
    narrow = sum_of_squares(wedges) / (2.0 * jnp.where(acute, product + dot, 1.0))
    return radial * radial + jnp.where(acute, narrow, wide)


def _sum(numbers: list[Scalar]) -> Scalar:
    return functools.reduce(jnp.add, numbers)
