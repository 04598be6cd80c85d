"""A density on S² evaluated once on a grid, for pictures of models whose density is costly."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Values
from scorefold.manifolds import Manifold, Sphere


def tabulated(
    log_prob: Callable[[Array], Values], manifold: Manifold, *, rows: int = 60
) -> Callable[[Values], np.ndarray]:
    """A function of points (n, 3) that interpolates log p, linearly in latitude and longitude, on
    ``rows`` × 2·``rows`` cells. For drawing: peaks narrower than a cell are cut.

    **Raises:** ``ValueError`` for a manifold that is not drawn as a sphere.
    """
    if manifold.picture != "sphere":
        raise ValueError(f"tabulated: {manifold.name} is not drawn as a sphere.")
    sphere = Sphere(2)
    lat = (np.arange(rows) + 0.5) * (180.0 / rows) - 90.0
    lon = (np.arange(2 * rows) + 0.5) * (180.0 / rows) - 180.0
    grid = sphere.from_latlon(*(a.ravel() for a in np.meshgrid(lat, lon, indexing="ij")))
    table = np.asarray(log_prob(grid), np.float64).reshape(rows, 2 * rows)

    def interpolated(x: Values) -> np.ndarray:
        where = sphere.to_latlon(np.asarray(jnp.asarray(x)))
        i = np.clip((where[..., 0] + 90.0) * (rows / 180.0) - 0.5, 0, rows - 1.001)
        j = (where[..., 1] + 180.0) * (rows / 180.0) - 0.5
        i0, j0 = np.floor(i).astype(int), np.floor(j).astype(int)
        u, v = i - i0, j - j0
        left, right = j0 % (2 * rows), (j0 + 1) % (2 * rows)
        upper = (1 - v) * table[i0, left] + v * table[i0, right]
        lower = (1 - v) * table[i0 + 1, left] + v * table[i0 + 1, right]
        return (1 - u) * upper + u * lower

    return interpolated
