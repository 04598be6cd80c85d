"""A rectangular box whose opposite sides are glued, and a grid of nodes in it."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike, Scalar
from scorefold.proximal._check import check_finite_positive


class PeriodicBox(eqx.Module):
    """The torus Π_i [lower_i, lower_i + length_i) with n_i equally spaced nodes on axis i.

    A function on the box is the array of its values at the nodes, shape ``shape``; its integral
    is the trapezoid rule, exact for trigonometric polynomials of degree below n_i. A law on R^d
    is put on a box so wide that it has no mass near the sides.

    **Arguments:** ``lower``, ``length``, ``shape``: d numbers each, d = 1 or 2 in practice.
    **Raises:** ``ValueError`` for lengths that are not positive, fewer than 4 nodes on an axis,
    and arguments of different d.
    """

    lower: tuple[float, ...]
    length: tuple[float, ...]
    shape: tuple[int, ...]

    def __check_init__(self) -> None:
        if not len(self.lower) == len(self.length) == len(self.shape) > 0:
            raise ValueError(
                f"lower, length and shape need one number per axis, got {len(self.lower)}, "
                f"{len(self.length)} and {len(self.shape)}."
            )
        sides = zip(self.lower, self.length, self.shape, strict=True)
        for axis, (low, long, n) in enumerate(sides):
            check_finite_positive(**{f"length[{axis}]": long})
            if not math.isfinite(low):
                raise ValueError(f"lower[{axis}] must be finite, got {low}.")
            if n < 4:
                raise ValueError(f"shape[{axis}] must be at least 4 nodes, got {n}.")

    @property
    def dim(self) -> int:
        return len(self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        return tuple(long / n for long, n in zip(self.length, self.shape, strict=True))

    @property
    def cell(self) -> float:
        """Volume that belongs to one node."""
        return math.prod(self.spacing)

    def points(self, dtype: DTypeLike | None = None) -> Array:
        """The nodes, shape ``(*shape, d)``."""
        sides = zip(self.lower, self.spacing, self.shape, strict=True)
        axes = [low + h * np.arange(n) for low, h, n in sides]
        nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return jnp.asarray(nodes, dtype or jnp.result_type(float))

    def integral(self, f: Array) -> Scalar:
        """∫ f dx of values at the nodes."""
        return self.cell * jnp.sum(f)

    def normalised(self, log_density: Array) -> Array:
        """log(p/∫p): the same density with total mass 1."""
        return log_density - (jax.nn.logsumexp(log_density) + math.log(self.cell))

    def kl(self, log_p: Array, log_q: Array) -> Scalar:
        """KL(p‖q) = ∫ p (log p − log q) dx in nats; nodes where p = 0 in floating point add 0."""
        p = jnp.exp(log_p)
        gap = jnp.where(p > 0, log_p - log_q, jnp.zeros_like(log_p))
        return self.integral(p * gap)

    def check(self, name: str, f: Array) -> None:
        """Raise ``ValueError`` unless ``f`` holds one value per node."""
        if f.shape != self.shape:
            raise ValueError(
                f"{name} has shape {f.shape}; one value per node is needed, shape {self.shape}."
            )
