"""How wide normal laws in a tangent space may be in many dimensions, against the cut locus."""

import math
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold.manifolds import Manifold

A = TypeVar("A", Array, np.ndarray)

STANDARD = 5.2
"""Standard deviations within the cut locus: 2e-7 of a normal law lies beyond on an axis."""


class Reach(NamedTuple):
    """A factor with a cut locus: which components of tangent vectors belong to it, whether each of
    them has a cut locus of its own (angles), and its distance."""

    part: slice
    angles: bool
    cut: float

    def size(self, marginal: Array | np.ndarray, top: Array | np.floating) -> Array:
        """How many times as large as allowed a covariance is, from its diagonal, ``(…, d)``, and a
        bound on its eigenvalues, ``(…)``: at most 1 is narrow enough,

            5.2² max_j Σ_jj/c² on angles,   (√tr Σ + 5.2 √λ_max)²/c² elsewhere,

        where a normal vector is longer than the root with probability e^{−5.2²/2} at most.
        """
        own = marginal[..., self.part]
        if self.angles:
            return jnp.max(own, axis=-1) * (STANDARD / self.cut) ** 2
        root = jnp.sqrt(jnp.sum(own, axis=-1)) + STANDARD * jnp.sqrt(top)
        return (root / self.cut) ** 2

    @property
    def widest(self) -> float:
        """The variance of the widest round law."""
        d = self.part.stop - self.part.start
        return (self.cut / (STANDARD if self.angles else math.sqrt(d) + STANDARD)) ** 2


def reaches(manifold: Manifold) -> list[Reach]:
    """Of the factors that have a cut locus."""
    found, first = [], 0
    for factor in manifold.factors:
        own = slice(first, first + factor.dim)
        if math.isfinite(factor.injectivity_radius):
            found.append(Reach(own, factor.toral, factor.injectivity_radius))
        first = own.stop
    return found


def widest_variances(manifold: Manifold) -> np.ndarray:
    """Of round laws, for each component of a tangent vector: ∞ without a cut locus."""
    found = np.full(manifold.dim, math.inf)
    for reach in reaches(manifold):
        found[reach.part] = reach.widest
    return found


def curved_parts(manifold: Manifold) -> list[slice]:
    """Components of the factors that are not flat, whose frames turn from place to place."""
    found, first = [], 0
    for factor in manifold.factors:
        if factor.periods is None:
            found.append(slice(first, first + factor.dim))
        first += factor.dim
    return found


def within(variances: A, widest: np.ndarray) -> A:
    """Factors that take variances, ``(…, d)``, below the widest: (1 + (v/w)⁴)^{−1/4}."""
    ratio = variances / widest.astype(variances.dtype)
    return (1.0 + ratio**4) ** -0.25
