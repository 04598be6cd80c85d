"""A law on S² whose density is constant on the cells of a grid of latitude and longitude."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.data import Law
from scorefold.manifolds import Manifold, Sphere


class GridLaw(Law):
    """p(x) = values[i, j] in the cell of latitudes φ_i to φ_{i+1} and longitudes λ_j to λ_{j+1}, 0
    outside of the grid; per steradian, with mass 1. ``mass``: what it was before that.

    Draws are exact: a row, a column in it, then a place uniform in area. Made by ``from_xarray``.
    """

    manifold: Manifold
    lat: Array
    lon: Array
    log_density: Array
    rows: Array
    columns: Array
    mass: float = eqx.field(static=True)

    @classmethod
    def of(cls, lat: np.ndarray, lon: np.ndarray, values: np.ndarray, mass: float) -> "GridLaw":
        """From edges in degrees, increasing, and densities of mass 1."""
        columns = np.cumsum(values * cell_areas(lat, lon), axis=1)
        rows = np.cumsum(columns[:, -1])
        with np.errstate(divide="ignore"):
            logs = np.log(values)
        share = columns / np.where(columns[:, -1:] > 0.0, columns[:, -1:], 1.0)
        dtype = jnp.result_type(float)
        arrays = (np.radians(lat), np.radians(lon), logs, rows / rows[-1], share)
        edges, sides, heights, up, along = (jnp.asarray(a, dtype) for a in arrays)
        return cls(Sphere(2), edges, sides, heights, up, along, mass)

    def sample(self, key: Key, n: int) -> Array:
        return _drawn(self, key, n)

    def _log_prob(self, x: Point) -> Scalar:
        lat, lon = (a.astype(x.dtype) for a in (self.lat, self.lon))
        up = jnp.arctan2(x[2], jnp.sqrt(x[0] ** 2 + x[1] ** 2))
        first = lon[0]
        along = first + jnp.mod(jnp.arctan2(x[1], x[0]) - first, 2.0 * math.pi)
        i = jnp.clip(jnp.searchsorted(lat, up, side="right") - 1, 0, len(lat) - 2)
        j = jnp.clip(jnp.searchsorted(lon, along, side="right") - 1, 0, len(lon) - 2)
        slack = 8.0 * float(jnp.finfo(x.dtype).eps)
        inside = (up >= lat[0] - slack) & (up <= lat[-1] + slack) & (along <= lon[-1] + slack)
        found = self.log_density[i, j].astype(x.dtype)
        return jnp.where(inside, found, -jnp.inf)


def cell_areas(lat: np.ndarray, lon: np.ndarray) -> np.ndarray:
    """Of cells between edges in degrees, in steradians: sin φ₂ − sin φ₁ as 2 cos sin, which keeps
    its digits at the poles."""
    low, high = np.radians(lat[:-1]), np.radians(lat[1:])
    tall = 2.0 * np.cos(0.5 * (low + high)) * np.sin(0.5 * (high - low))
    return tall[:, None] * np.radians(np.diff(lon))[None, :]


@eqx.filter_jit
def _drawn(law: GridLaw, key: Key, n: int) -> Array:
    def one(key: Key) -> Array:
        u = jax.random.uniform(key, (4,), law.rows.dtype)
        i = jnp.clip(jnp.searchsorted(law.rows, u[0], side="right"), 0, len(law.rows) - 1)
        j = jnp.searchsorted(law.columns[i], u[1], side="right")
        j = jnp.clip(j, 0, law.columns.shape[1] - 1)
        # From the nearer pole, sin²(θ/2) is uniform: 1 − z would lose its digits there.
        pole = jnp.where(law.lat[i] + law.lat[i + 1] < 0.0, -1.0, 1.0).astype(u.dtype)
        sides = jnp.stack([law.lat[i], law.lat[i + 1]])
        ends = jnp.sin(0.25 * math.pi - 0.5 * pole * sides) ** 2
        half = ends[0] + u[2] * (ends[1] - ends[0])
        flat = 2.0 * jnp.sqrt(jnp.maximum(half * (1.0 - half), 0.0))
        lon = law.lon[j] + u[3] * (law.lon[j + 1] - law.lon[j])
        up = pole * (1.0 - 2.0 * half)
        return law.manifold.project(jnp.stack([flat * jnp.cos(lon), flat * jnp.sin(lon), up]))

    return jax.vmap(one)(jax.random.split(key, n))
