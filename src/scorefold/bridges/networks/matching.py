"""Bridge matching: iterative Markovian fitting with networks."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from scorefold._types import Key, Point, Scalar
from scorefold.bridges.networks.alternate import LearnedBridge
from scorefold.bridges.networks.contract import Baseline
from scorefold.bridges.networks.coupling import transport_coupling
from scorefold.bridges.networks.field import BridgeField
from scorefold.bridges.networks.objectives import (
    Objective,
    PinnedRegression,
    Regression,
    level_weight,
)
from scorefold.bridges.networks.process import levels as grid_levels
from scorefold.bridges.networks.process import simulate, steered
from scorefold.bridges.reference.pinned import pinned_exactly, pinned_walk
from scorefold.fields import Architecture, NetworkSpec, TangentOutput
from scorefold.noising import Noising


class BridgeMatching(LearnedBridge):
    """Iterative Markovian fitting. From a coupling of the ends, repeat: fill in the paths of the
    reference pinned at both ends, and take the Markov process with the same law at every level,

        F(x, r) = E[∇ log p_r(X_r | X_0) | X_r = x],

    by regression; its simulated ends are the next coupling. Half-steps alternate direction: each
    starts from the data of the end that it steers to, so that neither marginal drifts away. The
    pinned paths are those of the reference in every half-step, which fitting of the reversal
    alone forgets as errors add up.

    Where the pinned reference is known (Brownian motion and Ornstein–Uhlenbeck on flat space,
    tori, their products) a training example is a pair of ends with a fresh level and state; on
    other manifolds the states of pinned geodesic random walks, kept between refreshes.

    **Arguments:** ``reference``: with a closed transition; ``network``, ``output``: of the fields;
    ``steps``: of simulated paths; ``coupling``: where it begins,

    - "process": with the ends of the process that the networks start from (the Gaussian bridge
      on flat space, elsewhere the reference, whose first half-step is that of proportional
      fitting);
    - "independent": with independent draws of both data sets;
    - "transport": with entropic transport plans of blocks of 256 draws, at the entropy of the
      reference;

    ``baseline``: as in ``DiffusionSchrodingerBridge``; ``cut``: networks are trained at levels
    from cut·S to (1 − cut)·S.
    **Raises:** ``ValueError`` for a reference without a closed transition.

    Source: Shi et al. 2023, Algorithm 1; Peluchetti 2023.
    """

    reference: Noising
    network: Architecture = NetworkSpec(width=128, depth=3, fourier=0)
    output: TangentOutput | None = None
    steps: int = 20
    coupling: Literal["process", "independent", "transport"] = "process"
    cut: float = 1e-3
    baseline: Baseline | None = None

    def __check_init__(self) -> None:
        if not self.reference.exact:
            raise ValueError(
                "BridgeMatching pins the reference at both ends, and "
                f"{type(self.reference).__name__} has no closed transition. Use "
                "DiffusionSchrodingerBridge, which only simulates it."
            )
        if self.coupling not in ("process", "independent", "transport"):
            raise ValueError(
                f'coupling must be "process", "independent" or "transport"; got {self.coupling!r}.'
            )
        if not 0 < self.cut < 0.5:
            raise ValueError(f"cut must be between 0 and 0.5, got {self.cut!r}.")

    @property
    def floor(self) -> float:
        if pinned_exactly(self.reference):
            return self.cut * self.total
        return float(grid_levels(self.total, self.steps)[1])

    @property
    def coupled(self) -> bool:
        return self.coupling != "process"

    @property
    def objective(self) -> Objective:
        if pinned_exactly(self.reference):
            return PinnedRegression(self.reference, self.cut * self.total)
        return Regression()

    def examples(
        self, key: Key, other: BridgeField, start: Array, far: Array, initial: bool
    ) -> PyTree:
        first, second = jax.random.split(key)
        grid = jnp.asarray(grid_levels(self.total, self.steps), start.dtype)
        if not initial or self.coupling == "process":
            far = simulate(steered(self.reference, other), first, start, grid, keep=False)
        elif self.coupling == "transport":
            far = transport_coupling(self.reference, first, start, far)
        if pinned_exactly(self.reference):
            return start, far
        keys = jax.random.split(second, len(start))
        walks = jax.vmap(lambda k, x, y: pinned_walk(self.reference, k, x, y, grid))
        paths = walks(keys, start, far)

        def one(x: Point, x0: Point, r: Scalar) -> tuple:
            return x, r, level_weight(other, r, self.total), self.reference.score(x, x0, r)

        levels = jax.vmap(one, in_axes=(0, None, 0))
        found = jax.vmap(levels, in_axes=(0, 0, None))(paths[:, 1:], start, grid[1:])
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)
