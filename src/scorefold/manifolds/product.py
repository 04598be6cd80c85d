"""Products of manifolds."""

import functools
import math
from collections.abc import Sequence
from types import ModuleType
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from scorefold import heat
from scorefold._geometry import AnyArray, Chords, Manifold, SineVolume
from scorefold._systems import System
from scorefold._types import Key, Point, Scalar, safe_norm


class Product(Manifold):
    """M₁ × … × M_k with the product metric: ⟨u, v⟩ = Σ ⟨u_i, v_i⟩, dist² = Σ dist_i².

    A point is ONE flat array: the parts ravelled and concatenated; ``split`` and ``join`` convert.
    A factor that is a product itself counts as its factors, in ``parts`` and names it keeps its
    parentheses. Each factor's own tie-break applies to its part.
    """

    parts: tuple[Manifold, ...]

    def __init__(self, *factors: Manifold):
        if not factors:
            raise ValueError("Product(...) needs at least one factor.")
        self.parts = factors

    def __repr__(self) -> str:
        return f"Product({', '.join(map(repr, self.parts))})"

    @property
    def factors(self) -> tuple[Manifold, ...]:
        return tuple(factor for part in self.parts for factor in part.factors)

    def split(self, x: AnyArray) -> tuple[AnyArray, ...]:
        ends = np.cumsum([math.prod(m.shape) for m in self.factors])[:-1]
        xp: ModuleType = np if isinstance(x, np.ndarray) else jnp
        parts = xp.split(x, ends, axis=-1) if len(ends) else [x]
        pairs = zip(parts, self.factors, strict=True)
        return tuple(p.reshape(*x.shape[:-1], *m.shape) for p, m in pairs)

    def join(self, parts: Sequence[Array]) -> Array:
        return jnp.concatenate([jnp.ravel(p) for p in parts])

    @property
    def name(self) -> str:
        names = [f"({m.name})" if isinstance(m, Product) else m.name for m in self.parts]
        return " x ".join(names)

    @property
    def dim(self) -> int:
        return sum(m.dim for m in self.factors)

    @property
    def shape(self) -> tuple[int, ...]:
        return (sum(math.prod(m.shape) for m in self.factors),)

    @property
    def log_volume(self) -> float:
        return sum(m.log_volume for m in self.factors)

    @property
    def diameter(self) -> float:
        return math.hypot(*(m.diameter for m in self.factors))

    @property
    def spectral_gap(self) -> float:
        return min(m.spectral_gap for m in self.factors)

    @property
    def readers(self) -> str:
        return "Product.join(parts), under jax.vmap for many, makes flat points from the parts."

    @property
    def heat(self) -> heat.HeatKernel:
        return heat.ProductHeat(self, tuple(m.heat for m in self.factors))

    @property
    def injectivity_radius(self) -> float:
        return min(m.injectivity_radius for m in self.factors)

    @property
    def periods(self) -> np.ndarray | None:
        each = [m.periods for m in self.factors]
        known = [np.ravel(p) for p in each if p is not None]
        return np.concatenate(known) if len(known) == len(each) else None

    @property
    def sine_volumes(self) -> tuple[SineVolume, ...] | None:
        each = [m.sine_volumes for m in self.factors]
        known = [part for part in each if part is not None]
        return sum(known, ()) if len(known) == len(each) else None

    @property
    def negative_type(self) -> None:
        """Of few products known; a product of lines has it, one of circles has not."""
        return None

    @property
    def tangent_output(self) -> Literal["ambient", "frame"]:
        return "frame" if any(m.tangent_output == "frame" for m in self.factors) else "ambient"

    @property
    def picture(self) -> str:
        return "factors"

    @property
    def systems(self) -> tuple[System, ...]:
        """Each factor is read by systems of its own."""
        return ()

    def normalised(self, x: np.ndarray) -> np.ndarray:
        parts = zip(self.factors, self.split(x), strict=True)
        return np.concatenate([m.normalised(p).reshape(len(x), -1) for m, p in parts], axis=1)

    def distances(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        parts = zip(self.factors, self.split(x), self.split(y), strict=True)
        return np.sqrt(sum(m.distances(p, q) ** 2 for m, p, q in parts))

    def chords(self, x: np.ndarray) -> Chords | None:
        """Those of the factors side by side, in which distances are in no order."""
        each = [m.chords(p) for m, p in zip(self.factors, self.split(x), strict=True)]
        known = [c for c in each if c is not None]
        if len(known) < len(each):
            return None
        coordinates = np.concatenate([c.coordinates for c in known], axis=1)
        return Chords(coordinates, np.concatenate([c.periods for c in known]))

    def _each(self, method: str, *points: Array) -> list[Array]:
        """The method of every factor on its parts of the points."""
        parts = zip(*(self.split(p) for p in points), strict=True)
        return [getattr(m, method)(*p) for m, p in zip(self.factors, parts, strict=True)]

    def origin(self, dtype: DTypeLike | None = None) -> Point:
        return self.join([m.origin(dtype) for m in self.factors])

    def exp(self, x: Point, v: Point) -> Point:
        return self.join(self._each("exp", x, v))

    def log(self, x: Point, y: Point) -> Point:
        return self.join(self._each("log", x, y))

    def dist(self, x: Point, y: Point) -> Scalar:
        return safe_norm(jnp.stack(self._each("dist", x, y)))

    def inner(self, x: Point, u: Point, v: Point) -> Scalar:
        return jnp.sum(jnp.stack(self._each("inner", x, u, v)))

    def covariant(self, x: Point, v: Point, e: Point, dv: Point, u: Point) -> Scalar:
        return jnp.sum(jnp.stack(self._each("covariant", x, v, e, dv, u)))

    def components(self, x: Point, v: Point) -> Array:
        return jnp.concatenate(self._each("components", x, v))

    def normal_coordinates(self, x: Point, y: Point) -> tuple[tuple[Scalar, ...], Scalar]:
        pairs = zip(self.factors, self.split(x), self.split(y), strict=True)
        each = [m.normal_coordinates(p, q) for m, p, q in pairs]
        volumes = functools.reduce(jnp.add, [log_det for _, log_det in each])
        return tuple(v for part, _ in each for v in part), volumes

    def norm(self, x: Point, v: Point) -> Scalar:
        return safe_norm(jnp.stack(self._each("norm", x, v)))

    def to_tangent(self, x: Point, u: Point) -> Point:
        return self.join(self._each("to_tangent", x, u))

    def project(self, u: Point) -> Point:
        return self.join(self._each("project", u))

    def frame(self, x: Point) -> Array:
        return _blocks(self._each("frame", x))

    def transport(self, x: Point, y: Point, v: Point) -> Point:
        return self.join(self._each("transport", x, y, v))

    def exp_log_det(self, x: Point, v: Point) -> Scalar:
        return jnp.sum(jnp.stack(self._each("exp_log_det", x, v)))

    def uniform(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        keys = jax.random.split(key, len(self.factors))
        return self.join([m.uniform(k, dtype) for m, k in zip(self.factors, keys, strict=True)])

    def defect(self, x: Point) -> Scalar:
        """The largest defect of a part."""
        return jnp.max(jnp.stack(self._each("defect", x)))

    def embed(self, x: Point) -> Array:
        return self.join(self._each("embed", x))

    def killing(self, x: Point) -> Array:
        return _blocks(self._each("killing", x))

    def audit(self, name: str, points: np.ndarray) -> None:
        for k, (factor, part) in enumerate(zip(self.factors, self.split(points), strict=True)):
            factor.audit(f"{name}, factor {k} ({factor.name})", part)


def _blocks(fields: list[Array]) -> Array:
    """Lists of vectors of the factors as vectors of the product, each zero in the other parts."""
    return jax.scipy.linalg.block_diag(*(f.reshape(f.shape[0], -1) for f in fields))
