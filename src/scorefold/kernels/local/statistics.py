"""Moments of the neighbourhoods of all kernels, without each fold of the data."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold.kernels.local.neighbourhood import Neighbourhoods, shape_features
from scorefold.manifolds import Manifold


class FoldStatistics(eqx.Module):
    """Statistics of the neighbourhoods of n centres, taken once without each fold of the data and,
    in the last place, with all points.

    ``features``: what the coefficients of a kernel are learned from, ``(folds + 1, n, f)``;
    ``moments``: packed, ``(folds + 1, n, K, d(d+1)/2)``; ``means``: ``(folds + 1, n, K, d)``.
    """

    features: Array = fixed()
    moments: Array = fixed()
    means: Array = fixed()

    @classmethod
    def of(
        cls,
        manifold: Manifold,
        centres: Array,
        around: Neighbourhoods,
        counts: tuple[int, ...],
        fold_of_point: np.ndarray,
        floor: float,
        weights: Array | None = None,
    ) -> FoldStatistics:
        """``around``: the neighbours of the centres; ``counts``: sizes of the K neighbourhoods;
        ``fold_of_point``: of each data point, negative where there are no folds; ``weights``: of
        each."""
        folds = int(fold_of_point.max()) + 1
        return quick_jit(_statistics)(
            manifold, centres, around, counts, device(fold_of_point), folds, floor,
            weights,
        )  # fmt: skip

    def without(self, fold: Array | int) -> tuple[Array, Array, Array]:
        """Those taken without the points of ``fold``; with all for the number of folds."""
        return self.features[fold], self.moments[fold], self.means[fold]


def _statistics(
    manifold: Manifold,
    centres: Array,
    around: Neighbourhoods,
    counts: tuple[int, ...],
    fold_of_point: Array,
    folds: int,
    floor: float,
    weights: Array | None,
) -> FoldStatistics:
    place = jax.vmap(manifold.embed)(centres)

    def one(fold: Array) -> tuple[Array, Array, Array]:
        moments, means = around.moments(counts, fold_of_point != fold, weights)
        shape = shape_features(moments, floor, manifold.dim)
        return jnp.concatenate([shape, place], -1), moments, means

    return FoldStatistics(*jax.lax.map(one, jnp.arange(folds + 1)))
