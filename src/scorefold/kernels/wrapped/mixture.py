"""Mixtures of kernels on a manifold, each with a covariance of its own, and their heat flow."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._choice import Choice
from scorefold._fixed import fixed
from scorefold._matmul import einsum, matmul
from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.kernels.wrapped.background import density_at
from scorefold.kernels.wrapped.families import KernelFamily, WrappedFamily
from scorefold.kernels.wrapped.moved import carried
from scorefold.manifolds import Manifold
from scorefold.noising import Reference


class WrappedMixture(eqx.Module):
    """The mixture of laws of exp_{z_i}(Σ_k √λ_ik ξ_k E_ik), ξ standard normal, and a background:

        p(x) = ε u(x) + (1 − ε) Σ_i w_i N(v_i; 0, Σ_i) e^{−log |det d(exp_{z_i})_{v_i}|},
        v_i = log_{z_i}(x),  Σ_i = Σ_k λ_ik E_ik E_ikᵀ,

    or of another ``family`` of laws with these covariances (``HeatFamily``, ``EsagFamily``).
    Closed in density and draws on every manifold. On compact ones the kernels must be narrow
    against the distance π of the cut locus (see ``cap_precision``), beyond which they are cut off.

    **At noise level s** (Brownian motion for a variance-time s after a draw): exact on R^d, on T^d
    with up to three angles, and for ``HeatFamily`` everywhere; ``WrappedFamily`` says how exact
    elsewhere.

    **Arguments:** ``centres``: z, shape ``(n, *manifold.shape)``; ``axes``: orthonormal in the
    frame at z_i, row k the components of E_ik, shape ``(n, d, d)``; ``variances``: λ, shape
    ``(n, d)``; ``log_weights``: log w, normalised, shape ``(n,)``; ``background``: the law u;
    ``log_share``: log ε; ``family``: which law a kernel is; ``diagonal``: δ, shape ``(n, d)``, of
    covariances of low rank, Σ_i = diag δ_i + Σ_{k ≤ r} λ_ik E_ik E_ikᵀ in the frame at z_i, with
    axes ``(n, r, d)`` of any length and variances ``(n, r)``; None where these are all there is.

    Source: Zhang et al. 2024 (R^d, with the normalisation put right); Pelletier 2005 and Chevallier
    et al. 2022 (kernels and wrapped laws on manifolds).
    """

    manifold: Manifold
    background: Reference = fixed()
    centres: Array = fixed()
    axes: Array = fixed()
    variances: Array = fixed()
    log_weights: Array = fixed()
    log_share: Array = fixed()
    family: KernelFamily = WrappedFamily()
    diagonal: Array | None = fixed(default=None)

    @classmethod
    def from_covariances(
        cls,
        manifold: Manifold,
        centres: Array,
        covariances: Array,
        log_weights: Array,
        background: Reference,
        log_share: Array,
        family: KernelFamily | None = None,
    ) -> WrappedMixture:
        """The mixture whose Σ_i are ``covariances``, shape ``(n, d, d)``, in the frames."""
        variances, columns = jnp.linalg.eigh(covariances)
        least = float(jnp.finfo(variances.dtype).tiny) ** 0.5
        axes = jnp.swapaxes(columns, -1, -2)
        variances = jnp.maximum(variances, least)
        family = WrappedFamily() if family is None else family
        return cls(manifold, background, centres, axes, variances, log_weights, log_share, family)

    def full(self) -> WrappedMixture:
        """The same mixture with d axes a kernel: d² numbers each where δ and r axes were kept."""
        if self.diagonal is None:
            return self
        return WrappedMixture.from_covariances(
            self.manifold, self.centres, covariances_of(self), self.log_weights, self.background,
            self.log_share, self.family,
        )  # fmt: skip

    # -- density -----------------------------------------------------------------------------------
    def log_prob(self, x: Point, s: ScalarLike | None = None) -> Scalar:
        """log p(x) in nats at the data (s = None), or at noise level s ≥ 0."""
        kernels = jax.nn.logsumexp(self.log_kernels(x, s))
        level = None if s is None else jnp.asarray(s, x.dtype)
        return self.with_background(kernels, density_at(self.background, x, level))

    def with_background(self, kernels: Array, background: Array) -> Array:
        """log (ε u + (1 − ε) e^{kernels}) for log u = ``background``."""
        share = self.log_share.astype(kernels.dtype)
        return jnp.logaddexp(share + background, jnp.log1p(-jnp.exp(share)) + kernels)

    def log_kernels(self, x: Point, s: ScalarLike | None = None) -> Array:
        """log (w_i · kernel i at x), shape ``(n,)``."""
        level = None if s is None else jnp.asarray(s, x.dtype)

        def one(log_w: Scalar, z: Point, *spread: Array) -> Scalar:
            axes, variances, *diagonal = spread
            return log_w + self.family.log_prob(
                self.manifold, x, z, axes, variances, level, *diagonal
            )

        diagonal = () if self.diagonal is None else (self.diagonal,)
        parts = (self.log_weights, self.centres, self.axes, self.variances, *diagonal)
        return jax.vmap(one)(*(a.astype(x.dtype) for a in parts))

    def score(self, x: Point, s: ScalarLike) -> Point:
        """∇ log p at noise level s, tangent at x."""
        return self.manifold.gradient(x, jax.grad(lambda y: self.log_prob(y, s))(x))

    # -- draws -------------------------------------------------------------------------------------
    def sample(self, key: Key, choice: Choice | None = None) -> Point:
        """One draw. For many, ``choice`` is ``Choice.of(log_weights)``, made once."""
        which, pick, ahead, far = jax.random.split(key, 4)
        i = (Choice.of(self.log_weights) if choice is None else choice).draw(pick)
        z, dtype = self.centres[i], self.centres.dtype
        diagonal = () if self.diagonal is None else (self.diagonal[i],)
        near = self.family.sample(
            ahead, self.manifold, z, self.axes[i], self.variances[i], *diagonal
        )
        lost = jnp.log(jax.random.uniform(which, (), dtype)) < self.log_share
        return jnp.where(lost, self.background.sample(far, dtype), near)


def covariances_of(mixture: WrappedMixture) -> Array:
    """Σ_i in the frames, shape ``(n, d, d)``."""
    root = jnp.sqrt(mixture.variances)[:, :, None] * mixture.axes
    found = einsum("nki,nkj->nij", root, root)
    if mixture.diagonal is None:
        return found
    return found + jax.vmap(jnp.diag)(mixture.diagonal)


def moved_kernels(
    manifold: Manifold, centres: Array, shift: Array, covariance: Array
) -> tuple[Array, Array]:
    """Centres exp_z(m), and covariances carried there in parallel, in the frames there."""

    def one(z: Array, m: Array, c: Array) -> tuple[Array, Array]:
        there, turned = carried(manifold, z, m)
        return there, matmul(matmul(turned.T, c), turned)

    return jax.vmap(one)(centres, shift, covariance)
