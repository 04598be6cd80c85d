"""Laws of the library's own walks, carried from step to step by quadrature."""

import dataclasses
import functools
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Point, Scalar
from scorefold.bench.contract import Measurement
from scorefold.manifolds import Manifold
from scorefold.samplers import Step

_BLOCK = 64
Means = Callable[..., np.ndarray]
"""(points, levels, *parameters) ↦ where each step without its noise leads its points: points
(K, n, d), or (n, d) for all steps, levels K + 1 variance-times; shape (K, n, d)."""


def in_double(measure: Callable[[], Measurement]) -> Measurement:
    """``measure()`` with 64-bit floats, whatever JAX is set to, and its seconds."""
    started = time.perf_counter()
    with jax.enable_x64(True):
        found = measure()
    return dataclasses.replace(found, seconds=time.perf_counter() - started)


def means_of(manifold: Manifold, step: Callable[..., Step]) -> Means:
    """The means of the steps x ↦ m + √|ds| z of a walk on R^d: the step that the samplers take,
    minus the noise that it drew. ``step`` makes one from its parameters."""

    @jax.jit
    def block(x: Array, s: Array, ds: Array, *parameters: Array) -> Array:
        key, taken = jax.random.key(0), step(*parameters)

        def one(y: Point, s: Scalar, ds: Scalar) -> Point:
            return taken(key, y, s, ds) - jnp.sqrt(jnp.abs(ds)) * manifold.normal(key, y)

        return jax.vmap(jax.vmap(one, (0, None, None)))(x, s, ds)

    def means(x: np.ndarray, levels: np.ndarray, *parameters: np.ndarray) -> np.ndarray:
        s, ds = levels[:-1], np.diff(levels)
        x = np.broadcast_to(x, (len(s), *x.shape[-2:]))
        found = []
        for k in range(0, len(s), _BLOCK):
            # One size of block is one program.
            rows = np.minimum(np.arange(k, k + _BLOCK), len(s) - 1)
            found.append(np.asarray(block(x[rows], s[rows], ds[rows], *parameters)))
        return np.concatenate(found)[: len(s)]

    return means


@functools.lru_cache(maxsize=32)
def gauss(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of Gauss and Legendre on [−1, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return nodes, weights


def gauss_on(low: float, high: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The same on [low, high]."""
    nodes, weights = gauss(n)
    half = 0.5 * (high - low)
    return low + half * (nodes + 1.0), half * weights


def trapezoid_cdf(x: np.ndarray, density: np.ndarray) -> np.ndarray:
    """∫ density up to each x."""
    return np.concatenate([[0.0], np.cumsum(0.5 * np.diff(x) * (density[1:] + density[:-1]))])
