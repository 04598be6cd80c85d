"""Covariances learned from the shape of neighbourhoods."""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._matmul import einsum
from scorefold._types import Key
from scorefold.kernels.local.precision import diagonal_of

_ROUND = 0.02
"""Start of r, the share of the mean variance that is added in every direction."""
ROUNDEST = 1e-4
"""Least share: bounds the anisotropy at what single precision can invert."""
_TAILS = ((3.0, -2.0), (12.0, -3.0), (60.0, -4.0))
"""Start of f − 1 and of the logarithm of the share, against that of the narrow kernel, of the wider
kernels around one in three and more dimensions."""
_TAIL = ((5.0, -2.0),)
"""The same on surfaces, where one is as good as three."""
_PLAIN = -4.0
"""Start of the logarithm of the isotropic part, against the spread of the 5 nearest."""
_MAIN, _REST = 0.7, 0.03
"""Other starts of a: of one neighbourhood, and of all others together."""
_LESS = (0.0, -3.5)
"""Other starts of the round parts, in logarithms."""
_WIDER = tuple(math.log(2.0) * k for k in range(7))
"""Starts of many kernels: what is added to the logarithms of all variances."""
_LEAST, _MOST = -30.0, 12.0
"""Bounds on what network and constants add to the logarithm of a variance: on a law without shape
wider is always better, and variances would grow until they overflow."""
_ODDS = 20.0
"""Bound on logarithms of weights and shares."""
_PULL = 4.0
"""Bound on the coefficients of the means."""
_FEATURE = 20.0
"""Bound on standardised features."""
_ALIKE = 0.05
"""Logarithms of size and roundness that vary less than this are not stretched to unit variance:
on a lattice they vary by rounding, until a fold is left out."""


class LocalKernels(NamedTuple):
    """n kernels in the frames at their centres, each with t wider ones around it."""

    covariance: Array
    """Packed Σ, shape ``(n, p)``."""
    shift: Array
    """Means m, shape ``(n, d)``."""
    log_weights: Array
    """log w up to a common constant, shape ``(n,)``."""
    widening: Array
    """f, shape ``(n, t)``."""
    log_shares: Array
    """log g, the narrow kernel first, shape ``(n, t + 1)``."""

    def rounded(self) -> LocalKernels:
        """With the mean of each kernel's variances in every direction."""
        on = diagonal_of(self.shift.shape[1])
        even = jnp.mean(self.covariance[:, on], axis=1, keepdims=True)
        return self._replace(covariance=jnp.zeros_like(self.covariance).at[:, on].set(even))


class KernelCoefficients(NamedTuple):
    """What the shapes of K neighbourhoods become a kernel with, for n kernels with t wider ones."""

    shares: Array
    """a, ``(n, K)``."""
    diagonals: Array
    """c, ``(n, K)``."""
    isotropic: Array
    """b, ``(n,)``."""
    pulls: Array
    """e, ``(n, K)``."""
    log_weights: Array
    """log w up to a common constant, ``(n,)``."""
    widening: Array
    """f, ``(n, t)``."""
    log_shares: Array
    """log g, the narrow kernel first, ``(n, t + 1)``."""


class _Outputs(NamedTuple):
    """What the network adds to the coefficients of n kernels (or how many numbers that are), in
    the order of its output: for K neighbourhoods and t wider kernels."""

    shares: Array
    """To log a_k, ``(n, K)``."""
    isotropic: Array
    """To log b, ``(n, 1)``."""
    log_weights: Array
    """log w, ``(n, 1)``."""
    widening: Array
    """To log (f_j − 1), ``(n, t)``."""
    odds: Array
    """To log (g_j / g_0), ``(n, t)``."""
    diagonals: Array
    """To log c_k, ``(n, K)``."""
    pulls: Array
    """To K·e_k, ``(n, K)``."""

    @classmethod
    def split(cls, output: Array, counts: int, tails: int) -> _Outputs:
        ends = np.cumsum(_sizes(counts, tails))[:-1].tolist()
        return cls(*jnp.split(output, ends, axis=1))


def _sizes(counts: int, tails: int) -> tuple[int, ...]:
    """How many numbers each of ``_Outputs`` is for one kernel."""
    return counts, 1, 1, tails, tails, counts, counts


class LocalCovariance(eqx.Module):
    """Covariance and weight of a kernel from the moments C_k of its neighbourhoods:

        Σ = Σ_k a_k C_k + Σ_k c_k diag C_k + (b t + r tr(Σ_k a_k C_k)/d + floor²) 1,
        m = Σ_k e_k μ_k,   log w,   and around it kernels of covariances f_j Σ with shares g_j,

    with a_k, b, c_k, e_k, f_j > 1, g_j and log w from a network of the features φ (logarithms of
    the size and roundness of each C_k, the place), and t the size of a middle C_k. Equivariant
    under isometries but for the place and the diagonals, which belong to the frame; at the start
    the network is 0 and Σ the mean of C_k/2 with a little of the rest. All coefficients are bounded
    (e^{±12} for those of variances), so that Σ, its inverse and their gradients are finite for
    all finite points and parameters.

    ``centre``, ``scale``: what standardises the features; ``middle``: which feature is log t.
    Of kernels of low rank (``LowRankCrossFit``) alone: ``along``, logarithms of what is learned of
    each axis; ``reference``: which neighbourhood gives the axes.
    """

    layers: list[eqx.nn.Linear]
    shares: Array
    diagonals: Array
    isotropic: Array
    roundness: Array
    pulls: Array
    tail: Array
    middle: int = eqx.field(static=True)
    centre: Array = fixed()
    scale: Array = fixed()
    floor: Array = fixed()
    along: Array | None = None
    reference: int = eqx.field(static=True, default=0)

    @classmethod
    def start(
        cls,
        features: Array,
        *,
        counts: int,
        floor: float,
        width: int,
        depth: int,
        dim: int,
        key: Key,
    ) -> LocalCovariance:
        """Coefficients of ``counts`` neighbourhoods in ``dim`` dimensions for kernels with these
        features, before training."""
        dtype = features.dtype
        tails = _TAIL if dim <= 2 else _TAILS
        sizes = [features.shape[-1]] + [width] * depth
        keys = jax.random.split(key, depth + 1)
        layers = [
            eqx.nn.Linear(a, b, key=k, dtype=dtype)
            for a, b, k in zip(sizes[:-1], sizes[1:], keys[:-1], strict=True)
        ]
        outputs = sum(_sizes(counts, len(tails)))
        last = eqx.nn.Linear(sizes[-1], outputs, key=keys[-1], dtype=dtype)
        layers.append(jax.tree.map(jnp.zeros_like, last))
        scale = jnp.std(features, axis=0)
        scale = jnp.where(jnp.arange(len(scale)) < 2 * counts, jnp.maximum(scale, _ALIKE), scale)
        return cls(
            layers=layers,
            shares=jnp.full((counts,), jnp.log(0.5 / counts), dtype),
            diagonals=jnp.full((counts,), jnp.log(0.5 / counts) + _PLAIN, dtype),
            roundness=jnp.full((), jnp.log(_ROUND), dtype),
            isotropic=jnp.full((), _PLAIN, dtype),
            pulls=jnp.zeros((counts,), dtype),
            tail=jnp.asarray([(math.log(f), g) for f, g in tails], dtype),
            centre=jnp.mean(features, axis=0),
            scale=jnp.where((scale > 0) & jnp.isfinite(scale), scale, 1.0),
            floor=jnp.full((), floor, dtype),
            middle=min(2, counts - 1),
        )

    def starts(self) -> LocalCovariance:
        """Coefficients worth starting from, along a leading axis of the trained arrays: all
        neighbourhoods alike or one above the others, each with round parts of different size."""
        k, dtype = self.shares.shape[0], self.shares.dtype
        one = jnp.where(jnp.eye(k, dtype=bool), math.log(_MAIN), math.log(_REST / k))
        shares = jnp.concatenate([self.shares[None], one.astype(dtype)])
        less = jnp.tile(jnp.asarray(_LESS, dtype), k + 1)
        count = len(less)
        every = jax.tree.map(
            lambda a: jnp.broadcast_to(a, (count, *a.shape)), eqx.filter(self, eqx.is_array)
        )
        return eqx.tree_at(
            lambda c: (c.shares, c.diagonals, c.roundness, c.isotropic),
            every,
            (
                jnp.repeat(shares, len(_LESS), axis=0),
                every.diagonals + less[:, None],
                every.roundness + less,
                every.isotropic + less,
            ),
        )

    def wider(self) -> LocalCovariance:
        """Starts along a leading axis: variances 1, 2, 4, … 64 times as large."""
        more = jnp.asarray(_WIDER, self.shares.dtype)
        every = jax.tree.map(
            lambda a: jnp.broadcast_to(a, (len(more), *a.shape)), eqx.filter(self, eqx.is_array)
        )
        return eqx.tree_at(
            lambda c: (c.shares, c.diagonals, c.isotropic),
            every,
            (
                every.shares + more[:, None],
                every.diagonals + more[:, None],
                every.isotropic + more,
            ),
        )

    def __call__(self, features: Array, moments: Array, means: Array) -> LocalKernels:
        """From features ``(n, f)``, packed moments ``(n, counts, p)``, means ``(n, counts, d)``."""
        found, on = self.coefficients(features), diagonal_of(means.shape[-1])
        shaped = einsum("nk,nkp->np", found.shares, moments)
        mean = jnp.mean(shaped[:, on], axis=1)
        along = einsum("nk,nkd->nd", found.diagonals, moments[..., on])
        middle = jnp.exp(features[:, self.middle])
        plain = found.isotropic * middle
        plain = plain + size_of(self.roundness) * mean + self.floor**2
        plain = plain + ROUNDEST * (mean + jnp.mean(along, axis=1))
        return LocalKernels(
            covariance=shaped.at[:, on].add(along + plain[:, None]),
            shift=einsum("nk,nkd->nd", found.pulls, means),
            log_weights=found.log_weights,
            widening=found.widening,
            log_shares=found.log_shares,
        )

    def coefficients(self, features: Array) -> KernelCoefficients:
        """Of n kernels with these features, ``(n, f)``."""
        z = (features - self.centre[None]) / self.scale[None]
        z = jnp.clip(z, -_FEATURE, _FEATURE)
        for layer in self.layers[:-1]:
            z = jax.nn.silu(jax.vmap(layer)(z))
        k = len(self.shares)
        out = _Outputs.split(jax.vmap(self.layers[-1])(z), k, len(self.tail))
        pulls = jnp.clip(self.pulls[None] + out.pulls, -_PULL, _PULL)
        odds = jnp.clip(self.tail[:, 1][None] + out.odds, -_ODDS, _ODDS)
        return KernelCoefficients(
            shares=size_of(self.shares[None] + out.shares),
            diagonals=size_of(self.diagonals[None] + out.diagonals),
            isotropic=size_of(self.isotropic + out.isotropic[:, 0]),
            pulls=pulls / k,
            log_weights=jnp.clip(out.log_weights[:, 0], -_ODDS, _ODDS),
            widening=1.0 + size_of(self.tail[:, 0][None] + out.widening),
            log_shares=jax.nn.log_softmax(jnp.pad(odds, ((0, 0), (1, 0))), axis=1),
        )


def size_of(logarithm: Array) -> Array:
    """exp, within the bounds of variances."""
    return jnp.exp(jnp.clip(logarithm, _LEAST, _MOST))
