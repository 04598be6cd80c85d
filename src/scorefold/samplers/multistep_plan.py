"""The grid and the weights of the multistep solver, and how many steps it takes."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from scorefold._types import NumPyOrJax
from scorefold.samplers.clocks import PowerClock

ORDER = 5
"""Nodes that the predictor and the corrector use, and their order."""
_QUADRATURE = 6
"""Nodes around each step that the divergence is integrated over; two fewer for the comparison."""
_GRADING = 0.6
"""Nodes have the density e^{−0.6 z²} over z ∈ [0, 1]: far from data the flow is the smoother."""
_TABLE = 513
"""Points of the table by which that density is integrated."""

_FEWEST, _MOST_STEPS = 24, 96
"""Bounds on steps. The arrays of every grid are padded to the longest: one program serves all."""
_USUAL, _USUAL_TOLERANCE = 36, 1e-5
"""Steps at that tolerance; at others they go like tolerance^{−1/5}."""
_ACCEPTED = 100.0
"""Tolerances that the estimated RMS error of log p may reach."""
_SPARE = 1.1
"""Steps are raised by this factor above what an error of order 5 asks for."""
_TIGHTEST, _LOOSEST = 3e-6, 1e-3
"""Tolerances beyond these are left to the adaptive solver, which then takes fewer evaluations."""


class StepCount(NamedTuple):
    """How many steps a chunk is given: 36 at a tolerance of 1e-5, like tolerance^{−1/5}.

    A result is good enough when the RMS of its estimated errors is at most 100 tolerances. If it is
    not, more steps are tried once, as many as an error of order 5 asks for, and kept for the
    chunks that follow.
    """

    steps: int
    most: int
    bound: float
    """Estimated RMS error up to which a result will do."""

    @classmethod
    def first(cls, tolerance: float, most: int) -> StepCount | None:
        """The count to begin with; None where the flow is better left to an adaptive solver."""
        most = min(most, _MOST_STEPS)
        if not _TIGHTEST <= tolerance <= _LOOSEST:
            return None
        usual = math.ceil(_USUAL * (_USUAL_TOLERANCE / tolerance) ** (1 / ORDER))
        steps = max(_FEWEST, usual)
        return cls(steps, most, _ACCEPTED * tolerance) if steps <= most else None

    def raised(self, error: float) -> StepCount | None:
        """The count after an estimated RMS ``error`` above the bound; None where it would be more
        than twice as many, or too many."""
        more = self.steps * _SPARE * (error / self.bound) ** (1 / ORDER)
        # NaN and inf fail the comparison.
        return (
            self._replace(steps=math.ceil(more)) if more <= min(2 * self.steps, self.most) else None
        )


def evaluations(steps: int) -> int:
    """Evaluations of the velocity and its divergence on a grid of ``steps`` steps: one a node, and
    a second one at the first node, which has no history to be predicted from."""
    return steps + 2


class MultistepPlan(NamedTuple):
    """A row for each evaluation, padded with zeros to a common length r."""

    s: NumPyOrJax
    """Variance-times, ``(r,)``."""
    ds: NumPyOrJax
    """ds/dτ there, ``(r,)``."""
    predictor: NumPyOrJax
    """Weights of the last 5 velocities, ``(r, 5)``."""
    corrector: NumPyOrJax
    """Weights of the last 4 velocities and the new one, ``(r, 5)``."""
    quadrature: NumPyOrJax
    """Weights of the divergence, over 6 nodes a step and over 4, ``(r, 2)``."""
    first: NumPyOrJax
    """Whether it is the second visit of the first node, ``(r,)``."""


@functools.lru_cache(maxsize=64)
def make_plan(
    s_min: float, s_max: float, steps: int, clock: PowerClock, decay: float
) -> MultistepPlan:
    """The plan of ``steps`` steps from s_min to s_max, in the variable τ of ``clock``.

    The velocity is expected to change like g(τ) = ds/dτ · e^{−decay·s}/√s: v/g is interpolated, g
    is integrated.
    """
    z = np.linspace(0.0, 1.0, _TABLE)
    density = np.exp(-_GRADING * z * z)
    count = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    low, high = clock.on_host(s_min), clock.on_host(s_max)
    share = np.interp(np.linspace(0.0, 1.0, steps + 1), count / count[-1], z)
    tau = low + (high - low) * share
    weights = functools.partial(_weights, size=functools.partial(_size, clock=clock, decay=decay))

    predictor, corrector = np.zeros((steps + 1, ORDER)), np.zeros((steps + 1, ORDER))
    quadrature = np.zeros((steps + 1, 2))
    for n in range(1, steps + 1):
        step = tau[n - 1], tau[n]
        old, new = tau[max(0, n - ORDER) : n], tau[max(0, n - ORDER + 1) : n + 1]
        predictor[n, ORDER - len(old) :] = weights(old, *step)
        corrector[n, ORDER - len(new) :] = weights(new, *step)
        for k, nodes in enumerate((_QUADRATURE, _QUADRATURE - 2)):
            first = max(0, min(n - nodes // 2, steps + 1 - nodes))
            near = slice(first, first + nodes)
            quadrature[near, k] += weights(tau[near], *step)

    # The first node is visited twice: a row that keeps its result as the guess of the next one.
    visits = np.concatenate([[0, 1], np.arange(1, steps + 1)])
    predictor, corrector, quadrature = predictor[visits], corrector[visits], quadrature[visits]
    quadrature[1] = 0.0
    s, ds = clock.s(tau[visits])
    plan = MultistepPlan(s, ds, predictor, corrector, quadrature, np.arange(len(visits)) == 1)
    pad = evaluations(_MOST_STEPS) - len(visits)
    return jax.tree.map(lambda row: np.pad(row, [(0, pad)] + [(0, 0)] * (row.ndim - 1)), plan)


def _size(tau: np.ndarray, *, clock: PowerClock, decay: float) -> np.ndarray:
    """ds/dτ · e^{−decay·s}/√s: how the velocity is expected to change."""
    s, ds = clock.s(tau)
    return ds * np.exp(-decay * s) / np.sqrt(s)


def _weights(nodes: np.ndarray, a: float, b: float, size: Callable) -> np.ndarray:
    """w with Σ w_j f(τ_j) = ∫_a^b f dτ for f = size · polynomial of degree below len(nodes)."""
    basis = np.polynomial.legendre.legvander
    centre, scale = nodes.mean(), max(np.ptp(nodes), b - a)
    z, w = np.polynomial.legendre.leggauss(16)
    at = 0.5 * (a + b) + 0.5 * (b - a) * z
    moments = basis((at - centre) / scale, len(nodes) - 1).T @ (0.5 * (b - a) * w * size(at))
    return np.linalg.solve(basis((nodes - centre) / scale, len(nodes) - 1).T, moments) / size(nodes)
