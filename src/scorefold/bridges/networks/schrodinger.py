"""The diffusion Schrödinger bridge: iterative proportional fitting with networks."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from scorefold._types import Key, Point, Scalar
from scorefold.bridges.networks.alternate import LearnedBridge
from scorefold.bridges.networks.contract import Baseline
from scorefold.bridges.networks.field import BridgeField
from scorefold.bridges.networks.objectives import ImplicitMeanMatching, Objective, Regression
from scorefold.bridges.networks.process import levels as grid_levels
from scorefold.bridges.networks.process import simulate, steered
from scorefold.fields import Architecture, NetworkSpec, TangentOutput
from scorefold.noising import Noising


class DiffusionSchrodingerBridge(LearnedBridge):
    """Iterative proportional fitting: each half-step simulates the process from the data of one
    end with the field learned last, and learns to turn it back. In the limit

        P* = argmin { KL(P | reference) : P_0 = A, P_S = B }.

    - ``loss="mean"``: the mean of the reversed chain. From the chain x_0, x_1, … at the levels
      r_0 < r_1 < …, F(x_{k+1}, r_{k+1}) is regressed on ∇ log p_h(x_{k+1} | x_k), which is
      (x_k − x_{k+1})/h for Brownian motion on flat space: the Gaussian chain closest to the
      reversed one in Kullback–Leibler divergence. The network is asked at the level where the
      reversed step starts, in training and in sampling.
    - ``loss="implicit"``: the divergence form, E[½‖F‖² + ⟨F, G⟩ + div F] with G = F' − 2b, F' the
      other field at the same point: any manifold, no transition density. Its ``divergence``
      is exact ("implicit") or by one random probe ("hutchinson").

    **Arguments:** ``reference``; ``network``, ``output``: of the fields; ``steps``: of the
    simulated chain; ``loss`` (default: "mean" on flat space, "implicit" elsewhere);
    ``baseline``: the affine part of the fields, on flat space:

    - "gaussian" (default there): that of the bridge between the Gaussian laws with the means and
      covariances of the data, from which the fitting then starts instead of from the reference.
      It has the reference's paths between its ends, so the limit is the same;
    - "iterates": the fitting starts from the reference, and the affine part of a half-step is
      that half-step's exact solution for Gaussian laws;
    - "none": it starts from the reference, and the networks learn everything.

    Source: De Bortoli et al. 2021, Algorithm 1 and Proposition 3; Thornton et al. 2022
    (Riemannian; the implicit loss); Vargas et al. 2021.
    """

    reference: Noising
    network: Architecture = NetworkSpec(width=128, depth=3, fourier=0)
    output: TangentOutput | None = None
    steps: int = 20
    loss: Literal["mean", "implicit", "hutchinson"] | None = None
    baseline: Baseline | None = None

    def __check_init__(self) -> None:
        if self.loss not in (None, "mean", "implicit", "hutchinson"):
            raise ValueError(
                'loss must be "mean", "implicit", "hutchinson" or None (the default of the '
                f"manifold); got {self.loss!r}."
            )

    @property
    def floor(self) -> float:
        return float(grid_levels(self.total, self.steps)[1])

    @property
    def objective(self) -> Objective:
        if self._loss == "mean":
            return Regression()
        return ImplicitMeanMatching("exact" if self._loss == "implicit" else "hutchinson")

    @property
    def _loss(self) -> str:
        return self.loss or ("mean" if self.manifold.euclidean else "implicit")

    def examples(
        self, key: Key, other: BridgeField, start: Array, far: Array, initial: bool
    ) -> PyTree:
        grid = jnp.asarray(grid_levels(self.total, self.steps), start.dtype)
        paths = simulate(steered(self.reference, other), key, start, grid)
        one = self._turned if self._loss == "mean" else lambda *a: self._opposed(other, *a)
        each = jax.vmap(jax.vmap(one), in_axes=(0, 0, None, None))
        found = each(paths[:, :-1], paths[:, 1:], grid[1:], jnp.diff(grid))
        return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), found)

    def _turned(self, before: Point, x: Point, r: Scalar, h: Scalar) -> tuple:
        m, noising = self.manifold, self.reference
        if noising.exact:
            target = noising.score(x, before, h)
        else:
            target = m.log(x, m.exp(before, h * noising.drift(before))) / h
        return x, r, h, target

    def _opposed(self, other: BridgeField, before: Point, x: Point, r: Scalar, h: Scalar) -> tuple:
        return x, r, h, other(x, self.total - r) - 2.0 * self.reference.drift(x)
