"""Mixtures of the transitions of a process: heat kernels started at several points."""

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._matmul import tensordot
from scorefold._types import Point, Scalar, ScalarLike


@runtime_checkable
class Transition(Protocol):
    """p_s(x | x₀): a heat kernel, or a noising process that knows its transition."""

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar: ...

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point: ...


class TransitionMixture(eqx.Module):
    """p(x) = Σ_k w_k p_{s_k}(x | c_k) for the transition ``kernel`` of a process.

    **Arguments:** ``centres``: c, shape ``(K, *shape)``; ``s``: one variance-time or K;
    ``log_weights``: log w, shape ``(K,)`` (None: 1/K each); they need not sum to 1.
    """

    kernel: Transition
    centres: Array
    s: ScalarLike | Array
    log_weights: Array | None = None

    def log_kernels(self, x: Point) -> Array:
        """log p_{s_k}(x | c_k), shape ``(K,)``."""
        return self._each(self.kernel.log_prob, x)

    def log_terms(self, x: Point) -> Array:
        """log (w_k p_{s_k}(x | c_k)), shape ``(K,)``."""
        each = self.log_kernels(x)
        if self.log_weights is None:
            return each - math.log(len(self.centres))
        return self.log_weights + each

    def log_prob(self, x: Point) -> Scalar:
        """log p(x)."""
        if self.log_weights is None:
            return jax.nn.logsumexp(self.log_kernels(x)) - math.log(len(self.centres))
        return jax.nn.logsumexp(self.log_terms(x))

    def score(self, x: Point) -> Point:
        """∇ log p(x): the scores of the K kernels, each weighted by its share of p(x)."""
        scores = self._each(self.kernel.score, x)
        if len(self.centres) == 1:
            return scores[0]
        terms = self.log_kernels(x) if self.log_weights is None else self.log_terms(x)
        return tensordot(jax.nn.softmax(terms), scores, axes=1)

    def _each(self, function: Callable[[Point, Point, ScalarLike], Array], x: Point) -> Array:
        """A method of the kernel for each centre; what depends on one s alone is computed once."""
        many = None if jnp.ndim(self.s) == 0 else 0
        return jax.vmap(lambda c, s: function(x, c, s), (0, many))(self.centres, self.s)
