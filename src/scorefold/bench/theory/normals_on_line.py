"""Two normal laws on the line under the Ornstein–Uhlenbeck process, and walks back to them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Point, Scalar
from scorefold.bench.theory.quadrature import Means, means_of
from scorefold.heat import TransitionMixture
from scorefold.noising import OrnsteinUhlenbeck
from scorefold.samplers import ReverseStep, Step, uniform_grid

REACH = 8.0
"""Mass beyond it is below 1e-12."""
_WIDTH = 0.2


class TwoNormals(NamedTuple):
    """Two normal laws: what Ornstein–Uhlenbeck makes of points ``centres`` in time 0.2."""

    centres: tuple[float, float]
    weights: tuple[float, float]
    order: int
    """k: the first moment that is not that of N(0, 1)."""


LAWS = {
    "two normal laws": TwoNormals((-0.5, 2.0), (0.6, 0.4), 1),
    "centred": TwoNormals((-1.4, 1.4), (0.5, 0.5), 2),
    "standardised": TwoNormals((-math.sqrt(3 / 7), math.sqrt(7 / 3)), (0.7, 0.3), 3),
}
ERRORS: dict[str, Callable[[Point], Point]] = {
    "constant": jnp.ones_like,
    "outward": lambda x: jnp.tanh(4.0 * x),
    "inward": lambda x: -jnp.tanh(4.0 * x),
    "waves": lambda x: jnp.cos(4.0 * x),
}
"""Fields of size at most one; M times one of them is added to the score."""
RIGHT = (0.0, 0.0, 0.0, 0.0)


def noised(centres: Array, weights: Array, s: Scalar) -> TransitionMixture:
    """The law of the data after variance-time s."""
    process = OrnsteinUhlenbeck(1)
    return TransitionMixture(process, centres[:, None], _WIDTH + s, jnp.log(weights))


def density(data: TwoNormals, s: float, x: np.ndarray) -> np.ndarray:
    """p_s at each x."""
    arrays = (np.asarray(a) for a in (data.centres, data.weights, s))
    return np.exp(np.asarray(_log_density(*arrays, x[:, None])))


@jax.jit
def _log_density(centres: Array, weights: Array, s: Scalar, x: Array) -> Array:
    return jax.vmap(noised(centres, weights, s).log_prob)(x)


@functools.cache
def _means() -> Means:
    """Of the library's reversed walk; parameters: centres, weights, a multiple of each error."""
    process = OrnsteinUhlenbeck(1)

    def step(centres: Array, weights: Array, sizes: Array) -> Step:
        def score(x: Point, s: Scalar) -> Point:
            errors = jnp.stack([error(x) for error in ERRORS.values()])
            return noised(centres, weights, s).score(x) + sizes @ errors

        return ReverseStep(process, score)

    return means_of(process.manifold, step)


def walk_law(
    data: TwoNormals,
    start: Literal["reference", "exact"],
    horizon: float,
    step: float,
    x: np.ndarray,
    sizes: Sequence[float] = RIGHT,
) -> np.ndarray:
    """Density at ``x`` of the reversed walk after round(T/γ) equal steps from t = T to 0, begun at
    N(0, 1) or at p_T, with a score wrong by ``sizes`` of each error."""
    steps = round(horizon / step)
    levels = np.asarray(uniform_grid(2.0 * horizon, 0.0, steps, np.float64))
    spread = math.sqrt(levels[0] - levels[1])
    # Sums over steps of that spread are integrals to 1e-12 at nodes this far apart.
    pieces = 2 * REACH / min(0.8 * spread, 0.1)
    nodes = np.linspace(-REACH, REACH, 1 + 2 ** math.ceil(math.log2(pieces)))
    weight = (nodes[1] - nodes[0]) / (spread * math.sqrt(2 * math.pi))
    mass = density(data, levels[0], nodes) if start == "exact" else normal(nodes)
    parameters = (np.asarray(a) for a in (data.centres, data.weights, sizes))
    for k, means in enumerate(_means()(nodes[:, None], levels, *parameters)):
        ends = x if k == steps - 1 else nodes
        gap = (ends[:, None] - means[:, 0]) / spread
        mass = np.exp(-0.5 * gap * gap) @ mass * weight
    return mass


def normal(x: np.ndarray) -> np.ndarray:
    """The density of N(0, 1)."""
    return np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
