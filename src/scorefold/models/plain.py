"""Plain models to measure others against: kernel densities and the memory of the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device, in_blocks
from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.heat import fitted_kernel
from scorefold.kernels import GaussianMixture, LowRankDiagonal
from scorefold.kernels.bandwidth import bandwidth_grid, kernel_scores, nearest_squares, same_points
from scorefold.manifolds import Euclidean, Manifold, exact_points
from scorefold.models._base import Model, count
from scorefold.models.standardise import Units, to_inner
from scorefold.noising import Noising
from scorefold.samplers import sample_reverse

__all__ = ["EmpiricalModel", "HeatKernelDensity", "ManifoldParzen"]

_BACKGROUNDS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
_CHUNK = 256


class HeatKernelDensity(Model):
    """p(x) = (1 − b)/n Σ_i p_{s_i}(x | Z_i) + b/vol(M): heat kernels around the data, on any
    manifold, over a uniform background.

    ``HeatKernelDensity.choose(manifold, data)`` finds s and b, for flat coordinates that it
    standardises (``units``; points and s are in those); the constructor takes them.
    """

    manifold: Manifold
    points: Array = fixed()
    s: Array = fixed()
    background: float = 0.0
    units: Units = fixed(default=Units())

    def __check_init__(self) -> None:
        if self.points.shape[1:] != self.manifold.shape or self.s.shape != self.points.shape[:1]:
            raise ValueError(
                "points and s: need shapes (n, …) and (n,) with points of "
                f"{self.manifold.name}, got {self.points.shape} and {self.s.shape}."
            )
        if not 0 <= self.background < 1 or (self.background and not self.manifold.compact):
            raise ValueError(
                f"background must lie in [0, 1), and be 0 on {self.manifold.name} unless it is "
                f"compact; got {self.background}."
            )

    @classmethod
    def choose(
        cls,
        manifold: Manifold,
        data: Any,
        *,
        val: Any = None,
        neighbours: int | Sequence[int] | None = None,
        backgrounds: Sequence[float] | None = None,
        size: int = 24,
        judges: int = 1024,
    ) -> HeatKernelDensity:
        """The best of a grid of bandwidths and background weights, compared in one program by the
        mean log density of ``val``, or by leave-one-out on at most ``judges`` rows of the data.

        **Arguments:** ``neighbours``: None for one bandwidth; k, or several to choose among, for
        s_i = c·r_i², r_i the distance from Z_i to its k-th nearest other point (Breiman, Meisel &
        Purcell 1977). ``backgrounds``: weights b to try (default: 0 to 0.3 on compact manifolds,
        0 elsewhere). ``size``: bandwidths in the grid.

        Rows are compared with all points but themselves and their copies. With ``neighbours`` the
        bandwidth of one kernel has seen the row it is asked about: prefer ``val``.
        """
        points, held_out, units = _standardised(manifold, data, val)
        if neighbours is None:
            grid = bandwidth_grid(manifold, points, size)
            s = np.repeat(grid[:, None], len(points), axis=1)
        else:
            ks = [neighbours] if isinstance(neighbours, int) else list(neighbours)
            squares = np.asarray(nearest_squares(manifold, points, max(ks)), np.float64)
            factors = np.geomspace(1 / 64, 4.0, size) / manifold.dim
            s = np.concatenate([factors[:, None] * squares[None, :, k - 1] for k in ks])
        x = _judges(points, held_out, judges)
        rows = jnp.asarray(s, points.dtype)
        # A grid is compared by kernels within 0.002 nats, fitted where exact ones are dear.
        heat = manifold.heat
        if manifold.compact:
            heat = fitted_kernel(heat, float(s.min()), float(s.max()), manifold.diameter)
        found = kernel_scores(manifold, points, rows, x, val is None, heat=heat)
        scores = np.asarray(found, np.float64)
        if backgrounds is None:
            backgrounds = _BACKGROUNDS if manifold.compact else (0.0,)
        values = [
            _with_background(scores, b, manifold.log_volume).mean(axis=1) for b in backgrounds
        ]
        table = np.where(np.isfinite(values), values, -math.inf)
        b, g = divmod(int(np.argmax(table)), len(rows))
        return cls(manifold, points, rows[g], float(backgrounds[b]), units)

    def log_prob(self, x: Any) -> Array:
        """log p in nats, closed form."""
        return self._density(lambda rows: _heat_log_prob(self, rows), x)

    def sample(self, key: Key, n: int) -> Array | np.ndarray:
        """n exact draws."""
        return self._draws(lambda keys: _sample_heat(self, keys), key, n)


@eqx.filter_jit
def _heat_log_prob(model: HeatKernelDensity, x: Array) -> Array:
    points, s = model.points.astype(x.dtype), model.s.astype(x.dtype)
    value = kernel_scores(model.manifold, points, s[None], x, False)[0]
    if not model.background:
        return value
    return jnp.logaddexp(
        value + math.log1p(-model.background),
        jnp.full_like(value, math.log(model.background) - model.manifold.log_volume),
    )


def _with_background(scores: np.ndarray, b: float, log_volume: float) -> np.ndarray:
    return scores if b == 0 else np.logaddexp(scores + math.log1p(-b), math.log(b) - log_volume)


@eqx.filter_jit
def _sample_heat(model: HeatKernelDensity, keys: Array) -> Array:
    dtype = model.points.dtype

    def one(key: Key) -> Array:
        pick, noise, far, which = jax.random.split(key, 4)
        i = jax.random.randint(pick, (), 0, len(model.points))
        x = model.manifold.heat.sample(noise, model.points[i], model.s[i])
        if not model.background:
            return x
        uniform = model.manifold.uniform(far, dtype)
        return jnp.where(jax.random.uniform(which) < model.background, uniform, x)

    return jax.vmap(one)(keys)


class ManifoldParzen(Model):
    """p(x) = (1/n) Σ_i N(x; Z_i, Σ_j λ_ij v_ij v_ijᵀ + σ²I) on R^d, with λ_ij, v_ij the leading
    eigenpairs of the second moment of the k nearest neighbours of Z_i about Z_i.

    ``ManifoldParzen.choose(manifold, data)`` finds k and σ, for coordinates that it standardises
    (``units``; ``law`` and ``sigma`` are in those).

    Source: Vincent & Bengio 2002 (Manifold Parzen windows), with equal weights in place of a
    neighbourhood kernel.
    """

    manifold: Euclidean
    neighbours: int
    sigma: float
    law: GaussianMixture = fixed()
    units: Units = fixed(default=Units())

    @classmethod
    def choose(
        cls,
        manifold: Euclidean,
        data: Any,
        *,
        val: Any = None,
        neighbours: int | Sequence[int] = (4, 8, 16, 32),
        rank: int | None = None,
        size: int = 16,
        judges: int = 1024,
    ) -> ManifoldParzen:
        """The best k and σ of a grid, compared in one program by the mean log density of ``val``
        or by leave-one-out (where the covariance of a kernel has seen the row: prefer ``val``).

        **Arguments:** ``rank``: eigenpairs kept (default: all, at most d and k); ``size``: number
        of σ, log-spaced below the bandwidth range of ``HeatKernelDensity``.
        """
        if not manifold.euclidean:
            raise ValueError(f"ManifoldParzen needs flat space, got {manifold!r}.")
        points, held_out, units = _standardised(manifold, data, val)
        ks = [neighbours] if isinstance(neighbours, int) else list(neighbours)
        if max(ks) >= len(points) or min(ks) < 1:
            raise ValueError(f"neighbours must lie in 1 … {len(points) - 1}, got {ks}.")
        rank = min(max(ks), manifold.d) if rank is None else rank
        grid = bandwidth_grid(manifold, points, size)
        s = jnp.asarray(np.geomspace(grid[0] / 16, grid[-1], size), points.dtype)
        x = _judges(points, held_out, judges)
        bases = _local_bases(points, jnp.asarray(ks), max(ks), rank)
        found = _parzen_scores(points, bases, s, x, val is None)
        table = np.where(np.isfinite(found), np.asarray(found, np.float64), -math.inf)
        k, g = divmod(int(np.argmax(table)), len(s))
        law = _parzen(points, bases[k], s[g])
        return cls(manifold, int(ks[k]), math.sqrt(float(s[g])), law, units)

    def log_prob(self, x: Any) -> Array:
        """log p in nats, closed form."""
        return self._density(lambda rows: _mixture_log_prob(self.law, rows), x)

    def sample(self, key: Key, n: int) -> Array | np.ndarray:
        """n exact draws."""
        return self._draws(lambda keys: _mixture_draws(self.law, keys), key, n)


@eqx.filter_jit
def _local_bases(points: Array, ks: Array, most: int, rank: int) -> Array:
    """U with UUᵀ = Σ_j λ_j v_j v_jᵀ for each k and point, shape (K, n, d, rank): from the singular
    values of the differences to the neighbours, so that no d × d matrix is formed."""

    def one(x: Array) -> Array:
        gap = points - x[None]
        square = jnp.sum(gap * gap, axis=1)
        _, near = jax.lax.top_k(-jnp.where(square > 0, square, jnp.inf), most)
        weight = jnp.arange(most)[None] < ks[:, None]
        scale = jnp.sqrt(weight.astype(x.dtype) / ks[:, None].astype(x.dtype))
        _, size, direction = jnp.linalg.svd(
            scale[:, :, None] * gap[near][None], full_matrices=False
        )
        return jnp.swapaxes(size[:, :rank, None] * direction[:, :rank], 1, 2)

    return jnp.swapaxes(jax.lax.map(one, points, batch_size=_CHUNK), 0, 1)


def _parzen(points: Array, basis: Array, s: Scalar) -> GaussianMixture:
    variances = jnp.full(points.shape, s)
    return GaussianMixture.equal(points, jax.vmap(LowRankDiagonal)(basis, variances))


@eqx.filter_jit
def _parzen_scores(points: Array, bases: Array, s: Array, x: Array, leave_out: bool) -> Array:
    """Mean log density at x for every k and σ², shape (K, G)."""

    def one(basis: Array, s: Scalar) -> Scalar:
        law = _parzen(points, basis, s)

        def at(y: Array) -> Scalar:
            if not leave_out:
                return law.log_prob(y)
            return law.without(same_points(y[None], points)[0]).log_prob(y)

        return jnp.mean(in_blocks(at, x, _CHUNK))

    # One after the other: the memory of one mixture.
    return jax.lax.map(lambda basis: jax.lax.map(lambda t: one(basis, t), s), bases)


@eqx.filter_jit
def _mixture_log_prob(law: GaussianMixture, x: Array) -> Array:
    return in_blocks(law.astype(x.dtype).log_prob, x, _CHUNK)


@eqx.filter_jit
def _mixture_draws(law: GaussianMixture, keys: Array) -> Array:
    return jax.vmap(lambda key: law.sample(key, 1)[0])(keys)


class EmpiricalModel(Model):
    """The diffusion model that has learned its training points by heart: at noise level s

        p_s(x) = (1/n) Σ_i p_s(x | Z_i),   ∇ log p_s = Σ_i w_i ∇ log p_s(x | Z_i),

    the exact score of the empirical law, which denoising score matching would reach with a
    network without limits. Its reverse SDE ends within O(√s_min) of training points.

    **Arguments:** ``noising``: an exact process (its manifold is the model's); ``points``: the
    data, in the units of the process; ``s_min``: the data end; ``units``: of points that are asked
    about or drawn, where flat ones are not those of the process: ``EmpiricalModel.of`` measures
    them.
    Source: Zhang et al. 2024, Section 4 (the naive kernel model).
    """

    noising: Noising
    points: Array = fixed()
    s_min: float = 1e-4
    units: Units = fixed(default=Units())

    def __check_init__(self) -> None:
        if self.points.shape[1:] != self.noising.manifold.shape or not len(self.points):
            raise ValueError(
                f"points: has shape {self.points.shape}; needs rows of shape "
                f"{self.noising.manifold.shape}."
            )
        if not self.noising.exact:
            raise ValueError("noising: its transition density must be known (noising.exact).")
        if not self.s_min > 0:
            raise ValueError(f"s_min must be positive, got {self.s_min}.")

    @classmethod
    def of(cls, noising: Noising, data: Any, *, s_min: float = 1e-4) -> EmpiricalModel:
        """The model of ``data`` in any unit: flat coordinates are standardised, as ``ScoreModel``
        does before it learns."""
        points, _, units = _standardised(noising.manifold, data, None)
        return cls(noising, points, s_min, units)

    @property
    def manifold(self) -> Manifold:
        return self.noising.manifold

    def log_prob(self, x: Any, s: ScalarLike | None = None) -> Array:
        """log p_s(x) in nats, closed form, at s = s_min if not given."""
        field = _EmpiricalScore(self.noising, self.points)
        level = lambda rows: device(self.s_min if s is None else s, rows.dtype)  # noqa: E731
        return self._density(lambda rows: _empirical(field, rows, level(rows), False), x)

    def score(self, t: ScalarLike, x: Any) -> Array:
        """∇ log p_{s(t)}(x), tangent at x (times before s_min are taken as s_min)."""
        field = _EmpiricalScore(self.noising, self.points)

        return self._gradient(
            lambda rows: _empirical_at(field, rows, device(t, rows.dtype), self.s_min), x
        )

    def sample(self, key: Key, n: int, *, steps: int = 200) -> Array | np.ndarray:
        """n draws by the reversed SDE with the closed-form score: noisy copies of training
        points."""
        x = sample_reverse(
            self.noising,
            _EmpiricalScore(self.noising, self.points),
            key,
            count(n),
            s_min=self.s_min,
            steps=steps,
            dtype=self.points.dtype,
        )
        return self._outer(x)


class _EmpiricalScore(eqx.Module):
    """(x, s) ↦ ∇ log p_s(x) of the empirical law."""

    noising: Noising
    points: Array

    def __call__(self, x: Point, s: Scalar) -> Point:
        points = self.points.astype(x.dtype)
        share = jax.nn.softmax(jax.vmap(lambda z: self.noising.log_prob(x, z, s))(points))
        each = jax.vmap(lambda z: self.noising.score(x, z, s))(points)
        return jnp.tensordot(share, each, axes=1)

    def log_prob(self, x: Point, s: Scalar) -> Scalar:
        points = self.points.astype(x.dtype)
        terms = jax.vmap(lambda z: self.noising.log_prob(x, z, s))(points)
        return jax.nn.logsumexp(terms) - math.log(len(points))


@eqx.filter_jit
def _empirical_at(field: _EmpiricalScore, x: Array, t: Scalar, s_min: float) -> Array:
    return _empirical(field, x, jnp.maximum(field.noising.schedule.s(t), s_min), True)


@eqx.filter_jit
def _empirical(field: _EmpiricalScore, x: Array, s: Scalar, score: bool) -> Array:
    one = field if score else field.log_prob
    return jax.lax.map(lambda y: one(y, s), x, batch_size=_CHUNK)


def _standardised(manifold: Manifold, data: Any, val: Any) -> tuple[Array, Array | None, Units]:
    """Training points and held-out ones in inner coordinates, and their units."""
    exact = exact_points(manifold, data, "data")
    if exact.ndim == len(manifold.shape) or len(exact) < 2:
        raise ValueError("data: needs two points or more.")
    units = Units.measure(manifold, exact, near=True)
    points = to_inner(manifold, units, exact, "data")
    if val is None:
        return points, None, units
    return points, to_inner(manifold, units, val, "val").astype(points.dtype), units


def _judges(points: Array, held_out: Array | None, judges: int) -> Array:
    """The points that bandwidths are compared on."""
    if held_out is not None:
        return held_out
    return points[np.unique(np.linspace(0, len(points) - 1, judges).round().astype(int))]
