"""Costs between points, as a matrix or computed where they are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._blocks import in_blocks, pairs_together
from scorefold._types import DTypeLike, Scalar
from scorefold.heat import Transition, tabulated_kernel
from scorefold.noising import Noising

R = TypeVar("R")


class PointCosts(eqx.Module):
    """C_ij = −log p_s(y_j | x_i), shape (n, m), one row or column at a time: memory grows like
    n + m. On a mesh (``use_mesh``) each device has its share of the rows, or of the columns."""

    transition: Transition
    s: float
    x: Array
    y: Array

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.x), len(self.y)

    @property
    def dtype(self) -> DTypeLike:
        return self.x.dtype

    def row(self, i: Array) -> Array:
        """C_i·, shape (m,)."""
        x = self.x[i]
        return jax.vmap(lambda y: -self.transition.log_prob(y, x, self.s))(self.y)

    def column(self, j: Array) -> Array:
        """C_·j, shape (n,)."""
        y = self.y[j]
        return jax.vmap(lambda x: -self.transition.log_prob(y, x, self.s))(self.x)

    def by_row(self, function: Callable[[Array, Array], R]) -> R:
        """``function(i, C_i·)`` for every row."""
        n, m = self.shape
        return in_blocks(
            lambda i: function(i, self.row(i)), jnp.arange(n), max(1, pairs_together() // m)
        )

    def by_column(self, function: Callable[[Array, Array], R]) -> R:
        """``function(j, C_·j)`` for every column."""
        n, m = self.shape
        return in_blocks(
            lambda j: function(j, self.column(j)), jnp.arange(m), max(1, pairs_together() // n)
        )

    def matrix(self) -> Array:
        return self.by_row(lambda i, row: row)


def end_transition(reference: Noising, dtype: DTypeLike) -> Transition:
    """p_S of a process that knows its transition, for very many pairs: a table where it is a heat
    kernel that has one (``tabulated_kernel`` says how exact)."""
    if reference.kernel is None:
        return reference
    return tabulated_kernel(reference.kernel, reference.schedule.total, dtype)


Costs = Array | PointCosts
"""Of shape (n, m)."""


def mean_of_rows(costs: Costs, log_b: Array, g: Array, e: Scalar, gentle: bool) -> Array:
    """log Σ_j b_j e^{(g_j − C_ij)/ε}, shape (n,)."""
    if isinstance(costs, PointCosts):
        return costs.by_row(lambda i, row: _log_mean(log_b, (g - row) / e, 0, gentle))
    return _log_mean(log_b[None, :], (g[None, :] - costs) / e, 1, gentle)


def mean_of_columns(costs: Costs, log_a: Array, f: Array, e: Scalar, gentle: bool) -> Array:
    """log Σ_i a_i e^{(f_i − C_ij)/ε}, shape (m,)."""
    if isinstance(costs, PointCosts):
        return costs.by_column(lambda j, column: _log_mean(log_a, (f - column) / e, 0, gentle))
    return _log_mean(log_a[:, None], (f[:, None] - costs) / e, 0, gentle)


def _log_mean(log_weights: Array, u: Array, axis: int, gentle: bool) -> Array:
    """log Σ w e^u. ``gentle``: of u that hardly differ, log(1 + Σ w (e^u − 1)) keeps the digits
    that 1 + u would lose."""
    if not gentle:
        return jax.nn.logsumexp(log_weights + u, axis=axis)
    top = jnp.max(u, axis=axis, keepdims=True)
    rest = jnp.sum(jnp.exp(log_weights) * jnp.expm1(u - top), axis=axis)
    return jnp.squeeze(top, axis) + jnp.log1p(rest)


@eqx.filter_jit
def extremes(costs: Costs) -> tuple[Array, Array]:
    """The smallest and the largest cost of every row, shape (n,) each; NaN where one is."""
    if isinstance(costs, PointCosts):
        return costs.by_row(lambda i, row: _ends(row, 0))
    return _ends(costs, 1)


def _ends(costs: Array, axis: int) -> tuple[Array, Array]:
    """On processors a minimum of many numbers leaves NaN out."""
    nothing = jnp.any(jnp.isnan(costs), axis=axis)
    least, most = jnp.min(costs, axis=axis), jnp.max(costs, axis=axis)
    return jnp.where(nothing, jnp.nan, least), jnp.where(nothing, jnp.nan, most)
