"""What a model is: samples and densities on a manifold."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import abc
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import by_blocks, by_keys, device, is_traced, listed
from scorefold._hash import structural_hash
from scorefold._html import html_table
from scorefold._jaxlib import warn_of_wrong_sums
from scorefold._types import Key, NumPyOrJax, Values
from scorefold._warnings import warn
from scorefold.manifolds import Manifold, exact_points
from scorefold.models.standardise import Units


class Model(eqx.Module):
    """A probability law on a manifold.

    ``log_prob`` takes one point or any batch of points (NumPy arrays, data frames or JAX arrays)
    and returns nats with respect to Riemannian volume; ``sample(key, n)`` returns n points.
    Batching happens here, once: everything below takes one point.

    **Units.** A model works in inner coordinates: flat ones are standardised by the training data
    (``units``), in 64 bits before anything is cast. So a constant added to a column changes no
    density, and a factor k changes log p by −log k, whatever JAX's precision. Points go in as NumPy
    arrays where their digits count: a JAX array has 32 bits unless told otherwise.

    **Draws** are JAX arrays. Where 32-bit numbers cannot hold them (a shift of more than 10⁴
    scales, as of Julian dates within a day) they are a NumPy array of 64 bits, outside of
    transformations.

    **Transformations.** ``jax.jit``, ``jax.vmap`` and ``jax.grad`` of ``log_prob``, ``score`` and
    ``sample`` (n static) give what a plain call gives; values are not checked there. A plain call
    computes blocks of 1, 32, 1024 or 32768 rows, so that few programs serve all sizes of batches.
    """

    if TYPE_CHECKING:

        @property
        def manifold(self) -> Manifold:
            """Where the points live: a field or a property."""

        @property
        def units(self) -> Units:
            """Of the flat coordinates: a field or a property."""

    else:
        manifold: eqx.AbstractVar[Manifold]
        units: eqx.AbstractVar[Units]

    @abc.abstractmethod
    def log_prob(self, x: Values) -> Array:
        """log density in nats, shape = the batch shape of ``x``."""

    @abc.abstractmethod
    def sample(self, key: Key, n: int) -> NumPyOrJax:
        """n draws, shape ``(n, *manifold.shape)``."""

    def log_prob_and_nfe(self, x: Values) -> tuple[Array, float]:
        """``log_prob``, and the evaluations of a network that a point took on average: 0 for a
        density in closed form."""
        return self.log_prob(x), 0.0

    @property
    def exact_mass(self) -> tuple[float, float] | None:
        """∫ exp(log_prob) dvol and a bound on its error, where they have a closed form."""
        return None

    @property
    def proposal(self) -> Optional["Model"]:
        """A law of known mass 1 that this one is close to, if it was built on one."""
        return None

    def __hash__(self) -> int:
        return structural_hash(self)

    def __repr__(self) -> str:
        """One line: what was asked for, and how many numbers the model holds."""
        held = sum(leaf.size for leaf in jax.tree.leaves(self) if eqx.is_array(leaf))
        asked = getattr(self, "description", self.manifold)
        return f"{type(self).__name__}({asked!r}, {held} numbers)"

    def _repr_html_(self) -> str:
        held = sum(leaf.size for leaf in jax.tree.leaves(self) if eqx.is_array(leaf))
        rows = [("manifold", self.manifold.name), ("numbers held", f"{held:,}")]
        asked = getattr(self, "description", None)
        return html_table(type(self).__name__, [*([("of", repr(asked))] if asked else []), *rows])

    # -- the edge ----------------------------------------------------------------------------------
    def _rows(self, x: Values, name: str = "x") -> tuple[NumPyOrJax, tuple[int, ...]]:
        """Inner coordinates of points, one a row, in the dtype of the points or the default float,
        and the batch shape."""
        points, shape = exact_points(self.manifold, x, name), self.manifold.shape
        batch, dtype = points.shape[: points.ndim - len(shape)], points.dtype
        points = jnp.asarray(points) if is_traced((points, self.units)) else np.asarray(points)
        rows = self.units.inward(points).astype(jax.dtypes.canonicalize_dtype(dtype))
        return rows.reshape(-1, *shape), batch

    def _density(self, function: Callable[..., Array], x: Values, *, whole: bool = False) -> Array:
        """``function`` of inner rows, a log density for each, at points x in the user's units.
        ``whole``: it takes all rows at once, as they are."""
        warn_of_wrong_sums()
        rows, batch = self._rows(x)
        value = function(rows) if whole else by_blocks(function, rows)
        volume = self.units.log_volume
        if is_traced((value, volume)):
            return (value - jnp.asarray(volume, value.dtype)).reshape(batch)
        known = np.asarray(value)
        lost = np.flatnonzero(np.isnan(known))
        if lost.size:
            warn(
                f"log_prob: {lost.size} of {known.size} rows have no number (rows {listed(lost)}): "
                f"NaN in {known.dtype}. Far out on H^d 64-bit floats may hold them."
            )
        return device((known - np.asarray(volume, known.dtype)).reshape(batch))

    def _gradient(self, function: Callable[[Array], Array], x: Values) -> Array:
        """``function`` of inner rows, a gradient for each, at points x in the user's units."""
        rows, batch = self._rows(x)
        slope = by_blocks(function, rows)
        known = slope if is_traced((slope, self.units)) else np.asarray(slope)
        outward = self.units.gradient(known).astype(rows.dtype)
        return device(outward.reshape(*batch, *self.manifold.shape))

    def _draws(self, function: Callable[[Array], Array], key: Key, n: int) -> NumPyOrJax:
        """``function`` of typed keys, a draw in inner coordinates for each: n draws."""
        return self._outer(by_keys(function, key, count(n)))

    def _outer(self, z: Array) -> NumPyOrJax:
        """Draws in the user's units."""
        if is_traced((z, self.units)):
            return self.units.outward(z)
        x = self.units.outward(np.asarray(z))
        if self.units.beyond_single:
            return x  # NumPy, 64 bits
        return device(x.astype(z.dtype)) if x is not z else z


def count(n: int) -> int:
    """A whole number of draws, at least 1. **Raises:** ``ValueError`` for others."""
    try:
        whole = operator.index(n)
    except TypeError:
        raise ValueError(f"n: a whole number of draws, got {n!r}.") from None
    if whole < 1:
        raise ValueError(f"n: at least one draw, got {n}.")
    return whole
