"""Flat space R^d."""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold import heat
from scorefold._systems import System
from scorefold._types import Point, Scalar, Values, safe_norm
from scorefold.manifolds._check import read_columns
from scorefold.manifolds._flat import FlatManifold


class Euclidean(FlatManifold):
    """R^d with the ordinary metric: exp_x(v) = x + v, log_x(y) = y − x."""

    d: int = 2

    @property
    def name(self) -> str:
        return f"R^{self.d}"

    @property
    def periods(self) -> np.ndarray:
        return np.zeros(self.d)

    @property
    def negative_type(self) -> Literal["strict"]:
        return "strict"

    @property
    def picture(self) -> str:
        return "coordinates"

    @property
    def systems(self) -> tuple[System, ...]:
        roles = tuple(f"coordinate {i + 1}" for i in range(self.d))
        return (System("flat", "numbers", roles, ordered=False),)

    @property
    def readers(self) -> str:
        return "Euclidean.from_columns(x=..., y=...) reads separate columns."

    @property
    def heat(self) -> heat.HeatKernel:
        return heat.EuclideanHeat(self)

    def exp(self, x: Point, v: Point) -> Point:
        return x + v

    def log(self, x: Point, y: Point) -> Point:
        return y - x

    def normal_coordinates(self, x: Point, y: Point) -> tuple[tuple[Scalar, ...], Scalar]:
        return tuple(y - x), jnp.zeros((), x.dtype)

    def dist(self, x: Point, y: Point) -> Scalar:
        return safe_norm(x - y)

    def project(self, u: Point) -> Point:
        return u

    def from_columns(self, **columns: Values) -> Array:
        """Points, shape ``(n, d)``, from d named columns of n numbers, in the order given.

        **Raises:** ``ValueError`` naming the column and its rows if a value is not a finite
        number, if lengths differ, or if there are not d columns.
        """
        if len(columns) != self.d:
            raise ValueError(
                f"{self.name} needs {self.d} columns, got {len(columns)}: {', '.join(columns)}."
            )
        return jnp.asarray(np.stack(read_columns(**columns), -1), dtype=jnp.result_type(float))
