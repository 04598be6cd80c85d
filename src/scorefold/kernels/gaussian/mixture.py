"""Mixtures of Gaussians on R^d: closed under the heat flow, under marginals and conditionals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float

from scorefold._choice import Choice
from scorefold._matmul import matmul
from scorefold._types import Key, Scalar, ScalarLike, Values
from scorefold.kernels.gaussian.covariance import Covariance


class GaussianMixture(eqx.Module):
    """π(x) = Σ_i w_i N(x; Z_i, Σ_i), with Γ_i = Σ_i⁻¹:

        N(x; Z, Σ) = (det Γ)^{1/2} (2π)^{−d/2} exp(−½(x − Z)ᵀ Γ (x − Z)).

    Brownian motion for variance-time s turns Σ_i into Σ_i + sI, so Γ_i into (Γ_i⁻¹ + sI)⁻¹, and
    nothing else: density and score are exact at every s, and with them the Hamilton–Jacobi and
    Fokker–Planck equations. Each method with a point takes ONE point, shape (d,).

    **Arguments:** ``log_weights``: n numbers log w_i that sum to 1 as weights; ``centres``: Z,
    shape (n, d); ``covariances``: one ``Covariance`` whose arrays have a leading axis of n.
    ``GaussianMixture.equal`` makes the weights.

    Source: Zhang et al. 2024 (Wasserstein proximal operators describe score-based generative
    models), Section 4. Printed there without the square root of det Γ and without the ½, which
    integrates to (det Γ)^{1/2} 2^{−d/2}.
    """

    log_weights: Float[Array, " n"]
    centres: Float[Array, "n d"]
    covariances: Covariance

    @classmethod
    def equal(cls, centres: Float[Array, "n d"], covariances: Covariance) -> GaussianMixture:
        """The mixture with weights 1/n."""
        n = len(centres)
        return cls(jnp.full((n,), -math.log(n), centres.dtype), centres, covariances)

    @property
    def dim(self) -> int:
        return self.centres.shape[-1]

    # -- one point -------------------------------------------------------------------------------
    def log_prob(self, x: Float[Array, " d"], s: ScalarLike | None = None) -> Scalar:
        """log π_s(x) in nats, π_s the density after Brownian motion for variance-time s."""
        return jax.nn.logsumexp(self._for(x, s).log_terms(x))

    def score(self, x: Float[Array, " d"], s: ScalarLike | None = None) -> Float[Array, " d"]:
        """∇ log π_s(x) = −Σ_i w_i(x) a_i,  a_i = Γ_i(x − Z_i),  w_i(x) the share of kernel i."""
        share, pull = self._for(x, s)._pulls(x)
        return matmul(-share, pull)

    def laplacian_ratio(self, x: Float[Array, " d"], s: ScalarLike | None = None) -> Scalar:
        """Δπ_s/π_s = Σ_i w_i(x) (|a_i|² − tr Γ_i)."""
        return self._for(x, s)._derivatives(x)[1]

    def implicit_score_matching(self, x: Float[Array, " d"], s: ScalarLike | None = None) -> Scalar:
        """½|∇ log π|² + Δ log π = Δπ/π − ½|∇ log π|², whose mean over data is, up to a constant,
        half the mean squared error of the score (Hyvärinen 2005, Theorem 1)."""
        score, ratio = self._for(x, s)._derivatives(x)
        return ratio - 0.5 * jnp.sum(score * score)

    def log_terms(self, x: Float[Array, " d"]) -> Float[Array, " n"]:
        """log (w_i N(x; Z_i, Σ_i)) for every kernel."""

        def one(centre: Array, covariance: Covariance) -> Scalar:
            return covariance.quadratic(x - centre) + covariance.log_det()

        twice = eqx.filter_vmap(one)(self.centres, self.covariances)
        return self.log_weights - 0.5 * (twice + self.dim * math.log(2.0 * math.pi))

    # -- other mixtures ----------------------------------------------------------------------------
    def at(self, s: ScalarLike | None) -> GaussianMixture:
        """The mixture after Brownian motion for variance-time s (None: itself)."""
        if s is None:
            return self
        covariances = eqx.filter_vmap(lambda c: c.add(s))(self.covariances)
        return GaussianMixture(self.log_weights, self.centres, covariances)

    def without(self, omitted: Bool[Array, " n"]) -> GaussianMixture:
        """The mixture of the kernels that are not omitted, with weights that again sum to 1.

        Cheap under ``jax.vmap`` over masks: only the weights differ.
        """
        kept = jnp.where(omitted, -jnp.inf, self.log_weights)
        return GaussianMixture(kept - jax.nn.logsumexp(kept), self.centres, self.covariances)

    def rows(self, at: Array) -> GaussianMixture:
        """The kernels of these numbers, with the weights they have here."""
        return jax.tree.map(lambda leaf: leaf[at], self)

    def astype(self, dtype: DTypeLike) -> GaussianMixture:
        """The same mixture in another float type."""
        return jax.tree.map(lambda leaf: leaf.astype(dtype), self)

    def rescaled(self, shift: Float[Array, " d"], scale: Float[Array, " d"]) -> GaussianMixture:
        """The law of shift + scale·X for X of this law."""
        covariances = eqx.filter_vmap(lambda c: c.scaled(scale))(self.covariances)
        return GaussianMixture(
            self.log_weights, shift[None] + scale[None] * self.centres, covariances
        )

    def marginal(self, indices: Sequence[int]) -> GaussianMixture:
        """The law of these coordinates: the block Σ_i[indices, indices] of every covariance (not
        of the precision, which would be the covariance of a conditional law).

        **Raises:** ``ValueError`` for indices that repeat or are out of range.
        """
        return _marginal(self, _indices("indices", indices, self.dim))

    def conditional(self, given: Sequence[int], values: Values) -> GaussianMixture:
        """The law of the other coordinates, in their order, when those of ``given`` are ``values``:

            w_i′ ∝ w_i N(x_g; Z_ig, Σ_igg),   Z_i′ = Z_if + Σ_ifg Σ_igg⁻¹ (x_g − Z_ig),
            Σ_i′ = Σ_iff − Σ_ifg Σ_igg⁻¹ Σ_igf.

        **Raises:** ``ValueError`` for indices that repeat, are out of range or leave no coordinate
        free, and for values of another shape.
        """
        fixed = _indices("given", given, self.dim)
        known = jnp.asarray(values, self.centres.dtype)
        if len(fixed) == self.dim:
            raise ValueError("given: every coordinate is given; leave at least one free.")
        if known.shape != (len(fixed),):
            raise ValueError(f"values: needs {len(fixed)} numbers, got shape {known.shape}.")
        return _conditional(self, fixed, known)

    # -- draws -------------------------------------------------------------------------------------
    def sample(self, key: Key, n: int) -> Float[Array, "m d"]:
        """n exact draws: a kernel by its weight, then a normal of its covariance."""
        return _sample(self, key, n)

    # -- inside ------------------------------------------------------------------------------------
    def _for(self, x: Array, s: ScalarLike | None) -> GaussianMixture:
        """``at(s)``, in the dtype of x."""
        return self.astype(x.dtype).at(s)

    def _pulls(self, x: Array) -> tuple[Array, Array]:
        """The shares w_i(x) and a_i = Γ_i(x − Z_i)."""
        one = lambda centre, covariance: covariance.solve(x - centre)  # noqa: E731
        pull = eqx.filter_vmap(one)(self.centres, self.covariances)
        return jax.nn.softmax(self.log_terms(x)), pull

    def _derivatives(self, x: Array) -> tuple[Array, Scalar]:
        """∇ log π and Δπ/π."""
        share, pull = self._pulls(x)
        trace = eqx.filter_vmap(lambda c: c.trace_inverse())(self.covariances)
        return matmul(-share, pull), matmul(share, jnp.sum(pull * pull, axis=1) - trace)


@eqx.filter_jit
def _marginal(mixture: GaussianMixture, at: tuple[int, ...]) -> GaussianMixture:
    covariances = eqx.filter_vmap(lambda c: c.marginal(at))(mixture.covariances)
    return GaussianMixture(mixture.log_weights, mixture.centres[:, np.asarray(at)], covariances)


@eqx.filter_jit
def _conditional(
    mixture: GaussianMixture, given: tuple[int, ...], values: Array
) -> GaussianMixture:
    free = tuple(i for i in range(mixture.dim) if i not in given)
    log_weights = _marginal(mixture, given).log_terms(values)

    def one(centre: Array, covariance: Covariance) -> tuple[Array, Covariance]:
        shift, rest = covariance.condition(free, given, values - centre[np.asarray(given)])
        return centre[np.asarray(free)] + shift, rest

    centres, covariances = eqx.filter_vmap(one)(mixture.centres, mixture.covariances)
    return GaussianMixture(log_weights - jax.nn.logsumexp(log_weights), centres, covariances)


@eqx.filter_jit
def _sample(mixture: GaussianMixture, key: Key, n: int) -> Array:
    pick, noise = jax.random.split(key)
    chosen = mixture.rows(Choice.of(mixture.log_weights).draws(pick, n))
    z = jax.random.normal(noise, (n, mixture.covariances.noise_dim), mixture.centres.dtype)
    return chosen.centres + eqx.filter_vmap(lambda c, e: c.sqrt_apply(e))(chosen.covariances, z)


def _indices(name: str, indices: Sequence[int], d: int) -> tuple[int, ...]:
    found = tuple(int(i) for i in indices)
    if not found or len(set(found)) < len(found) or min(found) < 0 or max(found) >= d:
        raise ValueError(f"{name}: needs different numbers from 0 to {d - 1}, got {list(found)}.")
    return found
