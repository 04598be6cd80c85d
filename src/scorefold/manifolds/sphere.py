"""The unit sphere S^d in R^{d+1}."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold import heat
from scorefold._types import Key, Point, Scalar, safe_norm
from scorefold.manifolds._base import Manifold
from scorefold.manifolds._check import read_columns, refuse_rows

__all__ = ["Sphere"]


class Sphere(Manifold):
    """S^d = {x ∈ R^{d+1}: |x| = 1} with the metric of the ambient space; distances in radians.

    At the cut locus (y = −x) ``log`` returns the vector of length π towards the first vector of
    ``frame(x)``; ``transport`` to −x goes along the same geodesic.
    """

    d: int = 2

    def __check_init__(self) -> None:
        if self.d < 1:
            raise ValueError(f"Sphere(d) needs d >= 1, got d={self.d}.")

    @property
    def name(self) -> str:
        return f"S^{self.d}"

    @property
    def dim(self) -> int:
        return self.d

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.d + 1,)

    @property
    def volume(self) -> float:
        n = self.d + 1
        return 2.0 * math.pi ** (n / 2) / math.gamma(n / 2)

    @property
    def diameter(self) -> float:
        return math.pi

    @property
    def spectral_gap(self) -> float:
        return float(self.d)

    @property
    def heat(self) -> heat.HeatKernel:
        return heat.IsotropicHeat(self, heat.SphereProfile(self.d))

    def origin(self, dtype: jnp.dtype | None = None) -> Point:
        return jnp.zeros(self.shape, dtype or jnp.result_type(float)).at[0].set(1.0)

    def exp(self, x: Point, v: Point) -> Point:
        r = safe_norm(v)
        y = jnp.cos(r) * x + _sinc(r) * v
        return self.project(y)

    def log(self, x: Point, y: Point) -> Point:
        # The part of y across x, without cancellation at small angles.
        across = self.to_tangent(x, y - x)
        sine = safe_norm(across)
        tiny = 4.0 * jnp.finfo(x.dtype).eps
        antipodal = (sine < tiny) & (jnp.sum(x * y) < 0)
        degenerate = sine <= 0
        theta = self.dist(x, y)
        ratio = jnp.where(
            degenerate, 1.0, theta / jnp.where(degenerate, jnp.ones_like(sine), sine)
        )
        regular = ratio * across
        tie = math.pi * jax.lax.stop_gradient(self.frame(x)[0])
        return jnp.where(antipodal, tie, regular)

    def dist(self, x: Point, y: Point) -> Scalar:
        return 2.0 * jnp.arctan2(safe_norm(x - y), safe_norm(x + y))

    def inner(self, x: Point, u: Point, v: Point) -> Scalar:
        return jnp.sum(u * v)

    def to_tangent(self, x: Point, u: Point) -> Point:
        return u - jnp.sum(x * u) * x

    def project(self, u: Point) -> Point:
        n = safe_norm(u)
        ok = n > 0
        return jnp.where(ok, u / jnp.where(ok, n, 1.0), self.origin(u.dtype))

    def frame(self, x: Point) -> Array:
        # Parallel transport of e₁…e_d from the nearer pole ±e₀.
        pole = jnp.where(x[0] >= 0, 1.0, -1.0).astype(x.dtype)
        e = jnp.eye(self.d + 1, dtype=x.dtype)
        along = x + pole * e[0]
        return e[1:] - x[1:, None] / (1.0 + jnp.abs(x[0])) * along[None, :]

    def transport(self, x: Point, y: Point, v: Point) -> Point:
        total = x + y
        weight = 1.0 + jnp.sum(x * y)
        ok = weight > 8.0 * jnp.finfo(x.dtype).eps
        moved = v - jnp.sum(y * v) / jnp.where(ok, weight, 1.0) * total
        # To the antipode: the component along the tie-break geodesic changes sign.
        e = self.frame(x)[0]
        return jnp.where(ok, moved, v - 2.0 * jnp.sum(v * e) * e)

    def exp_log_det(self, x: Point, v: Point) -> Scalar:
        s = jnp.abs(_sinc(safe_norm(v)))
        tiny = jnp.finfo(v.dtype).tiny
        return (self.d - 1) * jnp.log(jnp.maximum(s, tiny))

    def uniform(self, key: Key, dtype: jnp.dtype | None = None) -> Point:
        return self.project(jax.random.normal(key, self.shape, dtype or jnp.result_type(float)))

    def defect(self, x: Point) -> Scalar:
        return jnp.abs(safe_norm(x) - 1.0)

    def embed(self, x: Point) -> Array:
        return x

    def killing(self, x: Point) -> Array:
        """The d(d+1)/2 rotations x ↦ x_i e_j − x_j e_i, i < j."""
        i, j = np.triu_indices(self.d + 1, k=1)
        e = jnp.eye(self.d + 1, dtype=x.dtype)
        return x[i][:, None] * e[j] - x[j][:, None] * e[i]

    # -- readers ---------------------------------------------------------------------------------
    def from_latlon(self, lat, lon, *, degrees: bool = True) -> Array:
        """Unit vectors (cos φ cos λ, cos φ sin λ, sin φ) from latitude φ and longitude λ.

        **Arguments:** ``lat``, ``lon``: arrays of n values, in degrees unless
        ``degrees=False`` (radians). Longitudes 0…360 and −180…180 are the same.
        **Raises:** ``ValueError`` naming the rows if a value is not finite, |lat| > 90° or
        |lon| > 360°; it says so when the two columns look swapped or radians look like degrees.
        """
        if self.d != 2:
            raise ValueError(f"Latitude and longitude describe S^2, not {self.name}.")
        lat, lon = read_columns(lat=lat, lon=lon)
        unit = 1.0 if not degrees else math.pi / 180
        top = 90.0 if degrees else math.pi / 2
        label = "°" if degrees else " rad"
        beyond = np.abs(lat) > top * (1 + 1e-9)
        if beyond.any():
            swapped = np.abs(lon).max(initial=0.0) <= top and np.abs(lat).max() <= 4 * top
            hint = (
                "The longitudes all fit in the latitude range: the two columns look swapped."
                if swapped
                else "Latitudes run from -90 to 90 degrees."
                if degrees
                else "With degrees=False the values are radians; these look like degrees."
            )
            refuse_rows("lat", beyond, lat, f"beyond ±{top:.6g}{label}", hint)
        refuse_rows(
            "lon", np.abs(lon) > 4 * top * (1 + 1e-9), lon, f"beyond ±{4 * top:.6g}{label}",
            "Longitudes run from -180 to 180 or from 0 to 360 degrees.",
        )
        phi, lam = lat * unit, lon * unit
        xyz = np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], -1)
        return jnp.asarray(xyz, dtype=jnp.result_type(float))

    def to_latlon(self, x, *, degrees: bool = True) -> np.ndarray:
        """Columns (lat, lon) of unit vectors, shape (n, 2); lon in (−180, 180]."""
        x = np.asarray(x, dtype=np.float64)
        lat = np.arctan2(x[..., 2], np.hypot(x[..., 0], x[..., 1]))
        lon = np.arctan2(x[..., 1], x[..., 0])
        out = np.stack([lat, lon], -1)
        return np.degrees(out) if degrees else out


def _sinc(r: Scalar) -> Scalar:
    """sin(r)/r, smooth and accurate at 0."""
    small = r < 1e-3 if r.dtype == jnp.float32 else r < 1e-5
    safe = jnp.where(small, jnp.ones_like(r), r)
    return jnp.where(small, 1.0 - r * r / 6.0, jnp.sin(safe) / safe)
