"""What learned kernels have in common, however many there are."""

from __future__ import annotations

import abc
from typing import Generic, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Key, NumPyOrJax
from scorefold.kernels.local.covariance import LocalCovariance
from scorefold.kernels.local.shares import Shares
from scorefold.kernels.wrapped.families import KernelFamily
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.manifolds import Manifold
from scorefold.noising import Reference

Q = TypeVar("Q")


class KernelLearner(eqx.Module, Generic[Q]):
    """Kernels with learned coefficients and shares, and the folds of the data. A point is held out
    with its fold: its density is that of the kernels of other folds, with neighbourhoods that are
    taken without the fold. Points that are asked about are queries, a ``Q``.

    ``fold_of_point``: of each data point; ``by_fold``: rows of the points of each fold that are
    asked about, repeated to equal length; ``broad``: laws behind the kernels; ``weights``: of the
    data points, None where all are alike.
    """

    manifold: Manifold
    covariance: LocalCovariance
    shares: Shares
    family: KernelFamily
    broad: tuple[Reference, ...] = fixed()
    fold_of_point: Array = fixed()
    by_fold: Array = fixed()
    weights: Array | None = fixed(default=None, kw_only=True)

    @property
    def folds(self) -> int:
        return self.by_fold.shape[0]

    @abc.abstractmethod
    def starts(self) -> tuple[LocalCovariance, float]:
        """Coefficients to start from, along a leading axis, and by how many nats a point another
        must beat the first."""

    @abc.abstractmethod
    def first(self, data: Array, candidates: int) -> Q:
        """Points of the first fold that are asked for a start, as queries."""

    @abc.abstractmethod
    def first_rows(self, n: int) -> np.ndarray:
        """Which of the n data points these are."""

    @abc.abstractmethod
    def asked_rows(self, n: int, *, held_out: bool) -> np.ndarray:
        """Which of n points ``queries`` asks about."""

    @abc.abstractmethod
    def queries(self, data: Array, *, held_out: bool, candidates: int) -> Q:
        """Points as queries: ``held_out`` ones see all kernels, training points those of other
        folds. Of many, some are taken evenly."""

    @abc.abstractmethod
    def log_prob(self, x: Q, fold: Array, key: Key) -> Array:
        """log p of queries, shape ``(n,)``, by kernels without the points of ``fold``; ``key``
        draws those that stand for others."""

    @abc.abstractmethod
    def all_parts(self, x: Q, fold: Array, bandwidths: Array) -> Array:
        """Log densities of the learned kernels, the broad laws and kernels of each of some
        bandwidths, shape ``(n, parts)``."""

    def squares(self, x: Q) -> NumPyOrJax:
        """Squared distances to the kernels that each query sees."""
        return jnp.sum(x.vectors * x.vectors, -1)  # type: ignore[attr-defined]

    @abc.abstractmethod
    def spread(self, x: Q) -> float:
        """Root mean square of the distances between points and kernels, for one axis."""

    @abc.abstractmethod
    def whole_mixture(self) -> WrappedMixture:
        """All kernels, with nothing left out."""
