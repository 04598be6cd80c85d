"""Neighbourhoods in many dimensions: a few axes and a diagonal of each, no d × d matrix."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._matmul import einsum, matmul
from scorefold.kernels.wrapped.reach import curved_parts, reaches, widest_variances, within
from scorefold.manifolds import Manifold

_PRIOR = 8.0
"""Points that the shape of all neighbourhoods is worth, beside the points of one."""
_LEAST = 0.05
"""Least share of a variance that the axes leave to the diagonal."""
_ROUNDS = (4, 2, 2)
"""Steps of the iteration for the axes in each round; between two the diagonal is computed again."""
_SITES = 32
"""Kernels at a time."""


class Frames(eqx.Module):
    """n neighbourhoods as covariances of low rank, in units of their own. With the kept
    neighbours v_j of a centre, D and U are those of the reference neighbourhood,

        cov(v) ≈ D^½ (Σ_k λ_k u_ku_kᵀ + τ (1 − Σ_k u_ku_kᵀ)) D^½,   u_k orthonormal, k ≤ r,

    D what the axes leave of the variance of each coordinate (principal axis factoring), drawn to
    the shape of D at all centres. On curved factors, whose frames turn, D is the same in every
    direction. Every neighbourhood is described by its variances along u_k, and its mean variance
    across, in units of D. ``scale`` is √D within what the cut locus allows.

    ``features``: ``(n, f)``; ``scale``: ``(n, d)``; ``axes``: u, ``(n, r, d)``; ``spread``:
    variances along and across of K neighbourhoods around their means, ``(n, K, r + 1)``; ``means``:
    ``(n, K, d)``; ``along``: of the means over ``scale`` along u, ``(n, K, r)``; ``across``: inner
    products of what is left of them, ``(n, K, K)``.
    """

    features: Array = fixed()
    scale: Array = fixed()
    axes: Array = fixed()
    spread: Array = fixed()
    means: Array = fixed()
    along: Array = fixed()
    across: Array = fixed()

    @classmethod
    def of(
        cls,
        manifold: Manifold,
        vectors: Array,
        kept: Array,
        counts: tuple[int, ...],
        reference: Array,
        rank: int,
        floor: Array,
        even: bool,
    ) -> Frames:
        """From neighbours as centres see them, ``(n, m, d)``, nearest first, those that are
        ``kept``, ``(n, m)``; ``reference``: which of ``counts`` gives D and U; ``even``: with one
        variance in all directions."""
        parts = [slice(0, manifold.dim)] if even else curved_parts(manifold)
        step = lambda one, *rows: jax.lax.map(lambda r: one(*r), rows, batch_size=_SITES)  # noqa: E731

        def first(v: Array, keep: Array) -> tuple[Array, Array]:
            share = _shares(keep, counts, v.dtype)
            means = matmul(share, v)
            return means, jnp.maximum(matmul(share, v * v) - means * means, 0.0)

        means, variances = step(first, vectors, kept)
        size = jnp.asarray(counts, vectors.dtype)[reference]
        total = _alike(variances[:, reference], parts) + floor * floor
        common = jnp.exp(jnp.mean(jnp.log(total), axis=0))[None]
        common = common * jnp.mean(total / common, axis=1, keepdims=True)
        total = (size * total + _PRIOR * common) / (size + _PRIOR)
        start = jax.random.normal(jax.random.key(0), (manifold.dim, rank), vectors.dtype)
        widest = widest_variances(manifold)

        def frame(v: Array, keep: Array, mean: Array, total: Array) -> tuple[Array, ...]:
            share = _shares(keep, counts, v.dtype)
            centred = jnp.sqrt(share[reference])[:, None] * (v - mean[reference][None])
            rest, basis = total, start
            for i, steps in enumerate(_ROUNDS):
                inner = centred / jnp.sqrt(rest)[None]
                basis, values = _leading(inner, basis, steps)
                if i + 1 < len(_ROUNDS):
                    explained = jnp.sum((values - values[-1])[None] * basis * basis, axis=1)
                    rest = jnp.clip(total - rest * explained, _LEAST * total, total)
                    rest = _alike(rest[None], parts)[0]
            unit = v / jnp.sqrt(rest)[None]
            seen = matmul(unit, basis)
            across = jnp.maximum(jnp.sum(unit * unit, 1) - jnp.sum(seen * seen, 1), 0.0)
            inside = mean / jnp.sqrt(rest)[None]
            middle = matmul(inside, basis)
            left = jnp.sum(inside * inside, 1) - jnp.sum(middle * middle, 1)
            along = jnp.maximum(matmul(share, seen * seen) - middle * middle, 0.0)
            other = jnp.maximum(matmul(share, across[:, None])[:, 0] - left, 0.0)
            other = other / max(manifold.dim - rank, 1)
            scale = jnp.sqrt(rest * within(total, widest))
            whole = mean / scale[None]
            seen = matmul(whole, basis)
            gap = whole - matmul(seen, basis.T)
            spread = jnp.concatenate([along, other[:, None]], axis=1)
            return scale, basis.T, spread, seen, matmul(gap, gap.T)

        scale, axes, spread, along, across = step(frame, vectors, kept, means, total)
        # Not the place: its many coordinates tell the kernels apart, and training would learn each.
        size = jnp.log(jnp.mean(variances, axis=-1) + floor * floor)
        features = [size, _roundness(spread, manifold.dim)]
        return cls(jnp.concatenate(features, axis=1), scale, axes, spread, means, along, across)

    def sizes(self, manifold: Manifold, along: Array, across: Array) -> Array:
        """How many times as large as the cut locus allows covariances with these variances are,
        ``(n,)``: 0 without one. ``along``: λ − τ ≥ 0, ``(n, r)``; ``across``: τ, ``(n,)``."""
        found = jnp.zeros_like(across)
        squares = self.scale * self.scale
        marginal = einsum("nr,nrd->nd", along, self.axes * self.axes) + across[:, None]
        marginal = squares * marginal
        for reach in reaches(manifold):
            top = jnp.max(squares[:, reach.part], axis=1) * (across + jnp.max(along, axis=1))
            found = jnp.maximum(found, reach.size(marginal, top))
        return found


class Views(eqx.Module):
    """q points as each of n kernels sees them, in its units: ``along`` its axes, ``(q, n, r)``; the
    square of what is left, ``(q, n)``; inner products of that with the means of its K
    neighbourhoods, ``(q, n, K)``; squares of distances and log |det d exp|, ``(q, n)``."""

    along: Array
    rest: Array
    pulls: Array
    squares: Array
    log_det: Array

    @classmethod
    def of(cls, manifold: Manifold, centres: Array, frames: Frames, points: Array) -> Views:
        def one(row: tuple[Array, ...]) -> tuple[Array, ...]:
            z, scale, axes, means = row

            def seen(x: Array) -> tuple[Array, Array]:
                v = manifold.log(z, x)
                return manifold.components(z, v), manifold.exp_log_det(z, v)

            vectors, log_det = jax.vmap(seen)(points)
            inner, mean = vectors / scale[None], means / scale[None]
            along = matmul(inner, axes.T)
            gap = inner - matmul(along, axes)
            left = mean - matmul(matmul(mean, axes.T), axes)
            squares = jnp.sum(vectors * vectors, axis=1)
            return along, jnp.sum(gap * gap, axis=1), matmul(gap, left.T), squares, log_det

        rows = (centres, frames.scale, frames.axes, frames.means)
        return cls(*(jnp.swapaxes(a, 0, 1) for a in jax.lax.map(one, rows)))


def _shares(keep: Array, counts: tuple[int, ...], dtype: jnp.dtype) -> Array:
    """1/k for the k nearest that are kept, ``(K, m)``."""
    rank = jnp.cumsum(keep)
    each = [jnp.where(keep & (rank <= k), 1.0 / k, 0.0) for k in counts]
    return jnp.stack(each).astype(dtype)


def _alike(variances: Array, parts: list[slice]) -> Array:
    """With the mean over each of ``parts`` in its place."""
    for part in parts:
        mean = jnp.mean(variances[:, part], axis=1, keepdims=True)
        variances = variances.at[:, part].set(mean)
    return variances


def _leading(rows: Array, basis: Array, steps: int) -> tuple[Array, Array]:
    """Leading eigenvectors of XᵀX, ``(d, r)``, and their eigenvalues, largest first, by subspace
    iteration from a basis."""
    for _ in range(steps):
        basis, _ = jnp.linalg.qr(matmul(rows.T, matmul(rows, basis)))
    seen = matmul(rows, basis)
    values, turn = jnp.linalg.eigh(matmul(seen.T, seen))
    return matmul(basis, turn[:, ::-1]), jnp.maximum(values[::-1], 0.0)


def _roundness(spread: Array, d: int) -> Array:
    """log (tr C²/(tr C)²) of covariances by their variances along and across, ``(n, K)``."""
    rank = spread.shape[-1] - 1
    times = jnp.asarray([1.0] * rank + [float(d - rank)], spread.dtype)
    times = times.reshape((1, 1, -1))
    trace = jnp.maximum(jnp.sum(times * spread, -1), 1e-12)
    scaled = spread / trace[..., None]
    return jnp.log(jnp.maximum(jnp.sum(times * scaled * scaled, -1), 1e-6))
