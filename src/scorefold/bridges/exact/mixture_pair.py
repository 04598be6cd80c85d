"""Benchmark pairs of laws whose entropic plan is known exactly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike, Key
from scorefold.bridges._base import brownian_reference
from scorefold.bridges.exact.mixture_potential import MixturePotential, MixturePotentialBridge
from scorefold.manifolds import Euclidean


class MixturePair(eqx.Module):
    """A benchmark of entropic transport: X_0 ~ N(0, I) and X_1 from the plan with a known
    potential. ``bridge`` is the answer."""

    bridge: MixturePotentialBridge

    def sample(self, key: Key, n: int, dtype: DTypeLike | None = None) -> tuple[Array, Array]:
        """n draws of (X_0, X_1) from the optimal plan; either alone is a draw of its marginal."""
        first, second = jax.random.split(key)
        d = self.bridge.manifold.dim
        x0 = jax.random.normal(first, (n, d), dtype or jnp.result_type(float))
        return x0, self.bridge.sample_conditional(second, x0)


def mixture_pair(
    dim: int,
    epsilon: float,
    *,
    key: Key,
    components: int = 5,
    radius: float = 5.0,
    variances: tuple[float, float] = (0.5, 1.5),
    atoms: int = 4096,
) -> MixturePair:
    """A pair of laws on R^dim with a known entropic plan for the cost ½|x − y|² and ε:

        p_0 = N(0, I),   ψ = (1/K) Σ_k N(μ_k, Σ_k),

    μ_k uniform on the sphere of radius ``radius``, Σ_k = U_k diag(λ) U_kᵀ with U_k uniform
    rotations and λ equally spaced between ``variances``; both are functions of ``key``, the same
    in every dtype setting. The bridge of Brownian motion of variance ε over t ∈ [0, 1] is the
    answer.
    ``atoms``: draws of p_0 that stand for it in ``bridge.backward`` (see the class).

    Source: the construction of Gushchin et al. 2023, with constants of our own.
    """
    rng = np.random.default_rng(np.asarray(jax.random.bits(key, (4,), np.uint32)))
    means = rng.normal(size=(components, dim))
    means *= radius / np.linalg.norm(means, axis=1, keepdims=True)
    rotations, corner = np.linalg.qr(rng.normal(size=(components, dim, dim)))
    rotations = rotations * np.sign(np.diagonal(corner, axis1=1, axis2=2))[:, None, :]
    spectrum = np.linspace(*variances, dim) if dim > 1 else np.array([np.mean(variances)])
    covs = np.einsum("kij,j,klj->kil", rotations, spectrum, rotations)
    psi = MixturePotential(np.full(components, -np.log(components)), means, covs)
    reference = brownian_reference(Euclidean(dim), epsilon)
    start = rng.normal(size=(atoms, dim))
    return MixturePair(MixturePotentialBridge(reference, psi, atoms=start))
