"""Broad laws: what no kernel reaches, and what a model must beat."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import evenly
from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Point, Scalar, Values
from scorefold._weights import average, mean, on_device
from scorefold.kernels.wrapped.families import WrappedFamily
from scorefold.kernels.wrapped.moved import moved_axes
from scorefold.kernels.wrapped.reach import reaches, widest_variances, within
from scorefold.manifolds import Manifold, pairwise
from scorefold.noising import Reference, UniformReference

_WIDER = 2.0
"""Standard deviations of the wide law over those of the plain one."""
_LOOKED_AT = 512
_MANY = 50
_FOLDS = 8
_SHRINK = (0.0, 1e-3, 1e-2, 0.1, 0.3, 1.0)


class TangentNormal(Reference):
    """The law of exp_μ(Σ_k √λ_k ξ_k E_k), ξ standard normal. With v = log_μ(x),

        log p(x) = log N(v; 0, Σ_k λ_k E_kE_kᵀ) − log |det d(exp_μ)_v|.

    For manifolds whose exponential map is one to one (R^d, H^d), and elsewhere for laws that are
    narrow against the distance of the cut locus, where they are cut off. ``location``: μ;
    ``axes``: row k the components of E_k in the frame at μ, shape ``(d, d)``; ``variances``: λ,
    shape ``(d,)``.
    """

    manifold: Manifold
    location: Array = fixed()
    axes: Array = fixed()
    variances: Array = fixed()

    def log_prob(self, x: Point, s: Scalar | None = None) -> Scalar:
        """log density; with s, after Brownian motion for the variance-time s (``WrappedFamily``
        says how exact)."""
        return WrappedFamily().log_prob(self.manifold, x, *self._kernel(x.dtype), s)

    def score(self, x: Point) -> Point:
        return self.manifold.gradient(x, jax.grad(self.log_prob)(x))

    def sample(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        kernel = self._kernel(dtype or jnp.result_type(float))
        return WrappedFamily().sample(key, self.manifold, *kernel)

    def _kernel(self, dtype: DTypeLike) -> tuple[Array, Array, Array]:
        return tuple(a.astype(dtype) for a in (self.location, self.axes, self.variances))  # type: ignore[return-value]


class ProductReference(Reference):
    """Independent laws on the factors of a product: log p(x) = Σ log p_i(x_i)."""

    manifold: Manifold
    parts: tuple[Reference, ...]

    def log_prob(self, x: Point, s: Scalar | None = None) -> Scalar:
        """log density, at noise level s if given."""
        pairs = zip(self.parts, self.manifold.split(x), strict=True)
        return jnp.sum(jnp.stack([density_at(part, p, s) for part, p in pairs]))

    def score(self, x: Point) -> Point:
        pairs = zip(self.parts, self.manifold.split(x), strict=True)
        return self.manifold.join([part.score(p) for part, p in pairs])

    def sample(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        keys = jax.random.split(key, len(self.parts))
        return self.manifold.join(
            [part.sample(k, dtype) for part, k in zip(self.parts, keys, strict=True)]
        )


class MixedReference(Reference):
    """log p(x) = log Σ_j w_j p_j(x). ``log_weights``: normalised, shape ``(parts,)``."""

    manifold: Manifold
    parts: tuple[Reference, ...]
    log_weights: Array = fixed()

    def log_prob(self, x: Point, s: Scalar | None = None) -> Scalar:
        """log density, at noise level s if given."""
        each = jnp.stack([density_at(part, x, s) for part in self.parts])
        return jax.nn.logsumexp(self.log_weights.astype(x.dtype) + each)

    def score(self, x: Point) -> Point:
        return self.manifold.gradient(x, jax.grad(self.log_prob)(x))

    def sample(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        pick, draw = jax.random.split(key)
        each = jnp.stack([part.sample(draw, dtype) for part in self.parts])
        return each[jax.random.categorical(pick, self.log_weights)]


def density_at(law: Reference, x: Point, s: Scalar | None) -> Scalar:
    """log p(x), at noise level s if given. A law that is not of this file is taken to be left as it
    is by Brownian motion, as the uniform law is."""
    if s is not None and isinstance(law, TangentNormal | ProductReference | MixedReference):
        return law.log_prob(x, s)
    return law.log_prob(x)


def plain_law(manifold: Manifold, data: Values, weights: np.ndarray | None = None) -> Reference:
    """The law of one who knows nothing but place and spread: uniform on compact manifolds, one
    normal law elsewhere; on products the one or the other for each factor.

    The normal law has the mean and the covariance S of the data, on curved spaces in the tangent
    space at the mean as it is seen from the most central of 512 points. Of fewer than 50 points a
    dimension it is (1 − ρ) S + ρ diag S, ρ of 0, 10⁻³, …, 1 the likeliest for eighths left out.
    ``weights``: of the rows, positive, in all means.
    """
    if manifold.compact:
        return UniformReference(manifold)
    x = jnp.asarray(data)
    if len(manifold.factors) > 1:
        split = jax.vmap(manifold.split)(x)
        parts = zip(manifold.factors, split, strict=True)
        return ProductReference(manifold, tuple(plain_law(m, p, weights) for m, p in parts))
    location = _mean(manifold, x, weights)
    v = np.asarray(_seen(manifold, location, x), np.float64)
    variances, columns = np.linalg.eigh(_shrunk(v, _shrinkage(v, weights), weights))
    variances = np.maximum(variances, 1e-7 * variances[-1])
    return TangentNormal(
        manifold, location, jnp.asarray(columns.T, x.dtype), jnp.asarray(variances, x.dtype)
    )


def broad_laws(
    manifold: Manifold, data: Values, weights: np.ndarray | None = None
) -> tuple[Reference, ...]:
    """Broad laws behind the kernels: the plain law, and where it is not uniform the same with twice
    the spread, for what lies apart."""
    law = plain_law(manifold, data, weights)
    return (law,) if manifold.compact else (law, widened(law))


class NormalLaws(NamedTuple):
    """One normal law for some of the points: of parts of data that are seen from one ``location``,
    as ``vectors``, ``(n, d)``. All are shrunk alike, by ``shrinkage``."""

    manifold: Manifold
    location: Array
    vectors: np.ndarray
    shrinkage: float

    @classmethod
    def of(cls, manifold: Manifold, data: Values) -> NormalLaws:
        x = jnp.asarray(data)
        location = _mean(manifold, x)
        vectors = np.asarray(_seen(manifold, location, x), np.float64)
        return cls(manifold, location, vectors, _shrinkage(vectors))

    def law(self, rows: np.ndarray | slice = slice(None)) -> TangentNormal:
        """Of these points, as ``plain_law`` has it on flat space; elsewhere in the tangent space at
        their mean, and so narrow that next to nothing lies beyond the cut locus (``Reach``)."""
        m, v = self.manifold, self.vectors[rows]
        covariance = _shrunk(v, self.shrinkage)
        root = np.sqrt(within(np.diagonal(covariance), widest_variances(m)))
        covariance = root[:, None] * covariance * root
        variances, columns = np.linalg.eigh(covariance)
        variances = np.maximum(variances, 1e-7 * variances[-1])
        over = [float(r.size(np.diagonal(covariance), variances[-1])) for r in reaches(m)]
        variances = variances / max(1.0, *over, 1.0)
        dtype = self.location.dtype
        ahead, axes = (jnp.asarray(a, dtype)[None] for a in (v.mean(0), columns.T))
        location, axes = moved_axes(m, self.location[None], ahead, axes)
        return TangentNormal(m, location[0], axes[0], jnp.asarray(variances, dtype))


def widened(law: Reference) -> Reference:
    """With twice the spread, where it is not uniform."""
    if isinstance(law, TangentNormal):
        wide = _WIDER**2 * law.variances
        return TangentNormal(law.manifold, law.location, law.axes, wide)
    if isinstance(law, ProductReference):
        return ProductReference(law.manifold, tuple(map(widened, law.parts)))
    return law


def _mean(manifold: Manifold, x: Array, weights: np.ndarray | None = None) -> Array:
    if manifold.euclidean:
        return jnp.asarray(average(np.asarray(x, np.float64), weights), x.dtype)
    rows = evenly(len(x), _LOOKED_AT)
    some = np.asarray(x)[rows]
    square = pairwise(manifold, some, some) ** 2
    sums = square.sum(1) if weights is None else square @ weights[rows]
    central = x[rows[int(np.argmin(sums))]]
    ahead = mean(_seen(manifold, central, x), on_device(weights, x.dtype))
    return manifold.exp(central, manifold.from_components(central, ahead))


@eqx.filter_jit
def _seen(manifold: Manifold, location: Array, x: Array) -> Array:
    """log_μ(x) in the frame at μ, shape ``(n, d)``."""
    return jax.vmap(lambda p: manifold.components(location, manifold.log(location, p)))(x)


def _shrinkage(v: np.ndarray, weights: np.ndarray | None = None) -> float:
    """ρ."""
    n, d = v.shape
    if n >= _MANY * d:
        return 0.0
    fold = np.arange(n) % min(_FOLDS, n)
    worth = np.zeros(len(_SHRINK))
    for f in range(fold.max() + 1 if n > 2 else 0):
        w, own = (None, 1.0) if weights is None else (weights[fold != f], weights[fold == f])
        rest = v[fold != f]
        out = v[fold == f] - average(rest, w)
        for i, rho in enumerate(_SHRINK):
            variances, axes = np.linalg.eigh(_shrunk(rest, rho, w))
            square = np.sum((out @ axes) ** 2 / variances[None], axis=1)
            worth[i] -= np.sum(own * (square + np.sum(np.log(variances))))
    return _SHRINK[int(np.argmax(worth))] if n > 2 else 1.0


def _shrunk(v: np.ndarray, rho: float, weights: np.ndarray | None = None) -> np.ndarray:
    """(1 − ρ) S + ρ diag S and a little in every direction."""
    gap = v - average(v, weights)
    s = gap.T @ gap / len(v) if weights is None else (weights * gap.T) @ gap / weights.sum()
    on = np.diagonal(s)
    least = max(1e-6 * float(on.mean()), 1e-30)
    return (1.0 - rho) * s + np.diag(rho * on + least)
