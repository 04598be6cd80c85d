"""Kernel density estimation with heat kernels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import as_array, device, evenly, in_blocks, is_traced, pairs_together
from scorefold._choice import Choice
from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, NumPyOrJax, Values
from scorefold._weights import average, effective_number, on_device
from scorefold.heat import TransitionMixture, fitted_kernel, tabulated_kernel
from scorefold.kernels.bandwidth import (
    bandwidth_grid,
    kernel_scores,
    nearest_squares,
    scored_points,
)
from scorefold.manifolds import Manifold
from scorefold.models._base import Model
from scorefold.models.standardise import Units, weighted_points

_BACKGROUNDS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Weights of the uniform background that are compared."""
_LEAST_EFFECTIVE = 1.001
"""Rows of equal weight that weights are worth, at least."""


def _array_or_none(x: Values | None) -> Array | None:
    return None if x is None else as_array(x)


class HeatKernelDensity(Model):
    """p(x) = (1 − b) Σ_i w_i p_{s_i}(x | Z_i) + b/vol(M): heat kernels around the data, on any
    manifold, over a uniform background; w_i = 1/n unless rows carry weights.

    ``HeatKernelDensity.choose(manifold, data)`` finds s and b, for flat coordinates that it
    standardises (``units``; points and s are in those); the constructor takes them.
    ``log_weights``: log w, shape ``(n,)``, with Σ w = 1; None: equal ones.
    """

    manifold: Manifold
    points: Array = fixed(converter=as_array)
    s: Array = fixed(converter=as_array)
    background: float = 0.0
    units: Units = fixed(default=Units())
    log_weights: Array | None = fixed(default=None, converter=_array_or_none)

    def __check_init__(self) -> None:
        if self.points.shape[1:] != self.manifold.shape or self.s.shape != self.points.shape[:1]:
            raise ValueError(
                "points and s: need shapes (n, …) and (n,) with points of "
                f"{self.manifold.name}, got {self.points.shape} and {self.s.shape}."
            )
        if self.log_weights is not None and self.log_weights.shape != self.s.shape:
            raise ValueError(
                f"log_weights: need shape {self.s.shape}, got {self.log_weights.shape}."
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
        data: Values,
        *,
        val: Values | None = None,
        weights: Values | None = None,
        val_weights: Values | None = None,
        neighbours: int | Sequence[int] | None = None,
        backgrounds: Sequence[float] | None = None,
        size: int = 24,
        scored: int = 1024,
    ) -> HeatKernelDensity:
        """The best of a grid of bandwidths and background weights, compared in one program by the
        mean log density of ``val``, or by leave-one-out on at most ``scored`` rows of the data.

        **Arguments:** ``neighbours``: None for one bandwidth; k, or several to choose among, for
        s_i = c·r_i², r_i the distance from Z_i to its k-th nearest other point (Breiman, Meisel &
        Purcell 1977). ``backgrounds``: weights b to try (default: 0 to 0.3 on compact manifolds,
        0 elsewhere). ``size``: bandwidths in the grid. ``weights``, ``val_weights``: of the rows of
        ``data`` and ``val``, as of ``fit``: of kernels and in all means; k counts rows.

        Rows are compared with all points but themselves and their copies. With ``neighbours`` the
        bandwidth of one kernel has seen the row it is asked about: prefer ``val``.
        """
        (points, weighed), some, units = weighted_points(manifold, data, val, weights, val_weights)
        if weighed is not None and effective_number(weighed) < _LEAST_EFFECTIVE:
            raise ValueError(
                f"weights: row {int(np.argmax(weighed))} of those that count has nearly all the "
                "weight: one point has no bandwidth."
            )
        w = on_device(weighed, points.dtype)
        if neighbours is None:
            grid = bandwidth_grid(manifold, points, size, w)
            s = np.repeat(grid[:, None], len(points), axis=1)
        else:
            ks = [neighbours] if isinstance(neighbours, int) else list(neighbours)
            squares = np.asarray(nearest_squares(manifold, points, max(ks)), np.float64)
            factors = np.geomspace(1 / 64, 4.0, size) / manifold.dim
            s = np.concatenate([factors[:, None] * squares[None, :, k - 1] for k in ks])
        x = scored_points(points, None if some is None else some[0], scored)
        own = some[1] if some is not None else weighed
        if some is None and own is not None:
            own = own[evenly(len(points), scored)]
        rows = jnp.asarray(s, points.dtype)
        # A grid is compared by kernels within 0.002 nats, fitted where exact ones are dear.
        heat = manifold.heat
        if manifold.compact:
            heat = fitted_kernel(heat, float(s.min()), float(s.max()), manifold.diameter)
        found = kernel_scores(manifold, points, rows, x, val is None, heat=heat, weights=w)
        scores = np.asarray(found, np.float64)
        if backgrounds is None:
            backgrounds = _BACKGROUNDS if manifold.compact else (0.0,)
        values = [
            average(_with_background(scores, b, manifold.log_volume).T, own) for b in backgrounds
        ]
        table = np.where(np.isfinite(values), values, -math.inf)
        b, g = divmod(int(np.argmax(table)), len(rows))
        log_w = None if weighed is None else device(np.log(weighed / weighed.sum()), points.dtype)
        return cls(manifold, points, rows[g], float(backgrounds[b]), units, log_w)

    @property
    def exact_mass(self) -> tuple[float, float]:
        return 1.0, 0.0

    def log_prob(self, x: Values) -> Array:
        """log p in nats, closed form. Where all s_i are one, on spheres and SO(3), the kernel is
        a table of the exact one (``heat.tabulated_kernel``): log p is within
        5e-6·max(1, |log p_s|) of the sum of exact kernels (1e-9 in float64)."""
        return self._density(lambda rows: _heat_log_prob(self, self._kernels(rows.dtype), rows), x)

    def _kernels(self, dtype: DTypeLike) -> TransitionMixture:
        """The kernels, as tables of one where there is one s."""
        heat, points, s = self.manifold.heat, self.points.astype(dtype), self.s.astype(dtype)
        log_w = None if self.log_weights is None else self.log_weights.astype(dtype)
        if is_traced((points, s)):
            return TransitionMixture(heat, points, s, log_w)
        low, high = (float(end(np.asarray(s))) for end in (np.min, np.max))
        if low < high:
            return TransitionMixture(heat, points, s, log_w)
        kernel = tabulated_kernel(heat, low, dtype)
        return TransitionMixture(kernel, points, device(low, dtype), log_w)

    def sample(self, key: Key, n: int) -> NumPyOrJax:
        """n exact draws."""
        return self._draws(lambda keys: _sample_heat(self, keys), key, n)


@eqx.filter_jit
def _heat_log_prob(model: HeatKernelDensity, kernels: TransitionMixture, x: Array) -> Array:
    size = max(1, min(len(x), pairs_together() // len(model.points)))
    value = in_blocks(kernels.log_prob, x, size)
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
    choice = None if model.log_weights is None else Choice.of(model.log_weights)

    def one(key: Key) -> Array:
        pick, noise, far, which = jax.random.split(key, 4)
        if choice is None:
            i = jax.random.randint(pick, (), 0, len(model.points))
        else:
            i = choice.draw(pick)
        x = model.manifold.heat.sample(noise, model.points[i], model.s[i])
        if not model.background:
            return x
        uniform = model.manifold.uniform(far, dtype)
        return jnp.where(jax.random.uniform(which) < model.background, uniform, x)

    return jax.vmap(one)(keys)
