"""Covariances that a network reads off the place of a kernel."""

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key
from scorefold.kernels.gaussian.covariance import Cholesky, Covariance, Diagonal, LowRankDiagonal
from scorefold.kernels.gaussian.mixture import GaussianMixture

Form = Literal["cholesky", "diagonal", "low-rank"]
FORMS = ("cholesky", "diagonal", "low-rank")
_ZERO = math.log(math.e - 1.0)
"""softplus(_ZERO) = 1."""
_MOST = 60.0
"""Bound on outputs: kernels stay within e^{−60} and 60 times the bandwidth, and can be factored."""


class CovarianceNetwork(eqx.Module):
    """Σ_θ(Z) = h² (A(Z)A(Z)ᵀ + floor²·I): a multilayer perceptron from a centre to a covariance.

    - ``"cholesky"``: A lower triangular with a positive diagonal; d(d + 1)/2 outputs.
    - ``"diagonal"``: A diagonal; d outputs.
    - ``"low-rank"``: AAᵀ = UUᵀ + diag(v), U of shape (d, rank); d(rank + 1) outputs, no d × d
      matrix.

    Diagonals are softplus of an output. The last layer starts at 0 and AAᵀ at (1 − floor²)·I, so
    that Σ is h²I before training: kernels of one bandwidth (in the low-rank form half of the
    first ``rank`` variances starts in U, whose gradient would vanish at U = 0).

    **Arguments:** ``d``; ``bandwidth``: h > 0, a standard deviation; ``form``; ``floor``: the
    smallest standard deviation as a fraction of h, in [0, 1); ``rank``; ``width``, ``depth``:
    hidden units and hidden layers; ``dtype``; ``key``.
    Source: Zhang et al. 2024, Section 4 (Γ_θ, width 64, depth 5, GELU; there without a floor).
    """

    layers: list[eqx.nn.Linear]
    form: Form = eqx.field(static=True)
    floor: float = eqx.field(static=True)
    rank: int = eqx.field(static=True)
    bandwidth: Float[Array, ""] = fixed()

    def __init__(
        self,
        d: int,
        *,
        bandwidth: float,
        form: Form = "cholesky",
        floor: float = 0.3,
        rank: int = 2,
        width: int = 64,
        depth: int = 5,
        dtype: DTypeLike | None = None,
        key: Key,
    ):
        check_form(form, floor, rank, d)
        dtype = dtype or jnp.result_type(float)
        size = {"cholesky": d * (d + 1) // 2, "diagonal": d, "low-rank": d * (rank + 1)}[form]
        sizes = [d] + [width] * depth + [size]
        layers = [
            eqx.nn.Linear(a, b, dtype=dtype, key=k)
            for a, b, k in zip(sizes[:-1], sizes[1:], jax.random.split(key, depth + 1), strict=True)
        ]
        layers[-1] = jax.tree.map(jnp.zeros_like, layers[-1])
        self.layers = layers
        self.bandwidth = jnp.asarray(bandwidth, dtype)
        self.form, self.floor, self.rank = form, floor, rank

    def __call__(self, centre: Float[Array, " d"]) -> Covariance:
        d = centre.shape[0]
        raw = centre
        for layer in self.layers[:-1]:
            raw = jax.nn.gelu(layer(raw))
        raw = jnp.clip(self.layers[-1](raw), -_MOST, _MOST)
        h = self.bandwidth.astype(raw.dtype)
        start = math.sqrt(1.0 - self.floor**2)
        floor = self.floor * h if self.floor > 0 else 0.0
        if self.form == "diagonal":
            return Diagonal((h * start * _positive(raw)) ** 2, floor)
        if self.form == "cholesky":
            below = jnp.zeros((d, d), raw.dtype).at[jnp.tril_indices(d, -1)].set(raw[d:])
            return Cholesky(h * start * (below + jnp.diag(_positive(raw[:d]))), floor)
        first = jnp.where(jnp.arange(d) < self.rank, math.sqrt(0.5), 1.0).astype(raw.dtype)
        basis = raw[d:].reshape(d, self.rank) + math.sqrt(0.5) * jnp.eye(
            d, self.rank, dtype=raw.dtype
        )
        return LowRankDiagonal(
            h * start * basis, (h * start * first * _positive(raw[:d])) ** 2, floor
        )

    def mixture(self, centres: Float[Array, "n d"]) -> GaussianMixture:
        """Equal weights, Σ_i = Σ_θ(Z_i)."""
        return GaussianMixture.equal(centres, eqx.filter_vmap(self)(centres))


def check_form(form: str, floor: float, rank: int, d: int) -> None:
    """Raise ``ValueError`` naming the argument of a covariance form that cannot be."""
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}; got {form!r}.")
    if not 0 <= floor < 1:
        raise ValueError(f"floor is a fraction of the bandwidth, in [0, 1); got {floor}.")
    if form == "low-rank" and not 1 <= rank <= d:
        raise ValueError(f"rank must lie between 1 and the dimension {d}; got {rank}.")


def _positive(raw: Array) -> Array:
    """softplus, 1 at 0."""
    return jax.nn.softplus(raw + _ZERO)
