"""Mixtures of many Gaussians in bounded memory: block by block, or the kernels that matter."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scorefold._matmul import matmul
from scorefold._types import Scalar
from scorefold.kernels.gaussian.mixture import GaussianMixture


def blockwise(
    mixture: GaussianMixture, x: Float[Array, " d"], *, block: int = 1024
) -> tuple[Scalar, Float[Array, " d"]]:
    """(log π(x), ∇ log π(x)) at ONE point with memory O(block): a scan over blocks of kernels
    with a running maximum, the sum of the densities and the sum of their pulls.

    Equal to ``mixture.log_prob`` and ``mixture.score`` up to rounding.
    """
    n = len(mixture.centres)
    block = min(block, n)

    def body(carry: tuple, i: Array) -> tuple[tuple, None]:
        top, total, pull = carry
        part = _block(mixture, i, block)
        terms = part.log_terms(x)
        new_top = jax.lax.stop_gradient(jnp.maximum(top, jnp.max(terms)))
        safe = jnp.where(new_top > -jnp.inf, new_top, jnp.zeros_like(new_top))
        old, each = jnp.exp(top - safe), jnp.exp(terms - safe)
        _, pulls = part._pulls(x)
        return (new_top, old * total + jnp.sum(each), old * pull + matmul(each, pulls)), None

    start = (jnp.full((), -jnp.inf, x.dtype), jnp.zeros((), x.dtype), jnp.zeros_like(x))
    (top, total, pull), _ = jax.lax.scan(body, start, jnp.arange(-(-n // block)))
    return top + jnp.log(total), -pull / total


class TruncatedDensity(NamedTuple):
    """The part of a mixture's density that the kernels kept make, and what the others may add."""

    log_prob: Scalar
    """log of the sum over the kernels kept: a lower bound of log π(x)."""
    score: Float[Array, " d"]
    """∇ of ``log_prob``."""
    relative_error: Scalar
    """A bound on (π − kept)/π; π lies between kept and kept/(1 − relative_error)."""


class NeighbourMixture(eqx.Module):
    """A mixture evaluated at the k kernels that can matter at x, with a bound on the rest.

    Kernel i is at most b_i = w_i (2π)^{−d/2} (det Σ_i)^{−1/2} exp(−|x − Z_i|²/2λ_i), λ_i the
    largest eigenvalue of Σ_i, which costs a distance. The k largest b_i are kept and evaluated
    in full (O(kd²) in place of O(nd²)); with B the sum of the other b_i,

        kept ≤ π(x) ≤ kept + B,   (π − kept)/π ≤ B/(kept + B).

    **Arguments:** ``neighbours``: k; ``block``: kernels bounded at once (memory O(block)).
    Tight where kernels are much smaller than the cloud of centres; where the bound is too large
    for a purpose, raise ``neighbours`` or use ``blockwise``.
    """

    mixture: GaussianMixture
    peaks: Float[Array, " n"]
    largest: Float[Array, " n"]
    neighbours: int = eqx.field(static=True)
    block: int = eqx.field(static=True)

    def __init__(self, mixture: GaussianMixture, neighbours: int = 64, block: int = 4096):
        if not 1 <= neighbours <= len(mixture.centres):
            raise ValueError(
                f"neighbours must lie between 1 and the number of kernels, "
                f"{len(mixture.centres)}; got {neighbours}."
            )
        log_dets = eqx.filter_vmap(lambda c: c.log_det())(mixture.covariances)
        largest = eqx.filter_vmap(lambda c: c.largest())(mixture.covariances)
        slack = 1.0 + 32.0 * mixture.dim * float(jnp.finfo(largest.dtype).eps)
        self.mixture = mixture
        self.peaks = mixture.log_weights - 0.5 * (log_dets + mixture.dim * math.log(2.0 * math.pi))
        self.largest = largest * slack
        self.neighbours = neighbours
        self.block = min(block, len(mixture.centres))

    def evaluate(self, x: Float[Array, " d"]) -> TruncatedDensity:
        """Density, score and error bound at ONE point."""
        n, k = len(self.peaks), self.neighbours

        def body(carry: tuple, i: Array) -> tuple[tuple, None]:
            best, rows, rest = carry
            at = i * self.block + jnp.arange(self.block)
            inside = jnp.minimum(at, n - 1)
            gap = self.mixture.centres[inside] - x[None]
            bound = self.peaks[inside] - 0.5 * jnp.sum(gap * gap, axis=1) / self.largest[inside]
            bound = jnp.where(at < n, bound, -jnp.inf)
            every, names = jnp.concatenate([best, bound]), jnp.concatenate([rows, inside])
            best, places = jax.lax.top_k(every, k)
            left = every.at[places].set(-jnp.inf)
            return (best, names[places], jnp.logaddexp(rest, jax.nn.logsumexp(left))), None

        nothing = jnp.full((), -jnp.inf, x.dtype)
        start = (jnp.full((k,), nothing), jnp.zeros((k,), jnp.result_type(int)), nothing)
        (best, rows, rest), _ = jax.lax.scan(body, start, jnp.arange(-(-n // self.block)))
        kept = self.mixture.rows(rows)
        weights = jnp.where(best > -jnp.inf, kept.log_weights, -jnp.inf)
        kept = GaussianMixture(weights, kept.centres, kept.covariances)
        share, pull = kept._pulls(x)
        log_prob = jax.nn.logsumexp(kept.log_terms(x))
        return TruncatedDensity(log_prob, matmul(-share, pull), jax.nn.sigmoid(rest - log_prob))


def _block(mixture: GaussianMixture, i: Array, block: int) -> GaussianMixture:
    """Block i of the kernels; beyond the last one, copies of it with weight 0."""
    n = len(mixture.centres)
    at = i * block + jnp.arange(block)
    part = mixture.rows(jnp.minimum(at, n - 1))
    weights = jnp.where(at < n, part.log_weights, -jnp.inf)
    return GaussianMixture(weights, part.centres, part.covariances)
