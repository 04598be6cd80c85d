"""Light bridges: what is to be learned, and how."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from scorefold._types import Key
from scorefold.bridges.description import BridgeDescription
from scorefold.bridges.intake import Samples
from scorefold.bridges.light.fitted_bridge import FittedLightBridge
from scorefold.bridges.light.gaussian_potential import GaussianPotential
from scorefold.bridges.light.heat_potential import HeatPotential
from scorefold.bridges.light.origins import chosen_origins
from scorefold.bridges.light.pairs import Pairs
from scorefold.bridges.light.potential import PotentialDescription
from scorefold.bridges.units import BridgeUnits
from scorefold.fitting import History, NonFiniteLoss, fit
from scorefold.noising import Noising


class LightBridge(BridgeDescription["FittedLightBridge"]):
    """A Schrödinger bridge by one learned potential φ, without simulation and in seconds:

        π(x₁ | x₀) = p_S(x₁ | x₀) φ(x₁) / (P_S φ)(x₀),   ψ_s = P_{S−s} φ,
        loss = E_A log P_S φ − E_B log φ,

    which is KL(π* | π) up to a constant that does not depend on φ: the bridge of A and B is the
    minimiser, and any φ gives a bridge of A to some other law. φ is a sum of terms that the
    reference process keeps in its family, so that ψ_s is in closed form at every s:
    ``HeatPotential`` on any manifold, ``GaussianPotential`` on flat space. Draws and paths are
    exact at any number of steps on R^d, T^d and products of these, in both directions.

    The other factor needs the law A itself, of which there are points. They are placed at s = −h_i:

        φ̂_s(x) = (1/n) Σ_i p_{s+h_i}(x | x_i) / ψ_{−h_i}(x_i),   p_s = φ̂_s ψ_s,

    the bridge from the points blurred by Brownian motion of variance-time h_i. It has total mass 1
    at every s; h → 0 is the empirical law of A, which has no density. The h_i are proportional to
    the squared distance to the 6th neighbour, times a factor chosen by the likelihood of held-out
    points of A (without them, of each point by the others); a number given as ``blur`` replaces
    all of them. The forward half does not depend on h and starts from any point.

    **Arguments:** ``reference``: Brownian motion, or on flat space ``OrnsteinUhlenbeck``;
    keyword-only ``potential`` (default by geometry), ``blur``, ``origins``: how many points of A
    φ̂ is made of (drawn evenly if there are more).
    **Raises:** ``ValueError`` for a reference that the potential cannot follow.

    Train with ``fit_bridge(bridge, a, b, key=…)``.

    Source: Korotin, Gushchin & Burnaev 2024 (light Schrödinger bridge) on flat space, equations
    8 and 13. The heat kernel form, the weights it starts from and φ̂ are this library's.
    """

    reference: Noising
    potential: PotentialDescription
    blur: float | None
    origins: int

    def __init__(
        self,
        reference: Noising,
        *,
        potential: PotentialDescription | None = None,
        blur: float | None = None,
        origins: int = 4000,
    ) -> None:
        if potential is None:
            flat = reference.manifold.euclidean
            potential = GaussianPotential() if flat else HeatPotential()
        self.reference, self.potential = reference, potential
        self.blur, self.origins = blur, origins

    def __check_init__(self) -> None:
        self.potential.check(self.reference)
        if self.blur is not None and not (math.isfinite(self.blur) and self.blur > 0):
            raise ValueError(f"blur must be a positive variance-time, got {self.blur}.")
        if self.origins < 1:
            raise ValueError(f"origins must be 1 or more, got {self.origins}.")

    def inside(self, units: BridgeUnits) -> LightBridge:
        square = units.scale**2
        potential, blur = self.potential.shorter(square), self.blur and self.blur / square
        inside = units.inside(self.reference)
        return LightBridge(inside, potential=potential, blur=blur, origins=self.origins)

    def train(
        self, samples: Samples, *, key: Key, **settings: Any
    ) -> tuple[FittedLightBridge, History]:
        """By ``fit``, whose settings these are: 800 steps by default."""
        (a, b), held = samples.ends, samples.held
        held_sizes = None if held is None else (len(held[0]), len(held[1]))
        pairs = Pairs(self.potential, self.reference, (len(a), len(b)), held_sizes)
        val = None if held is None else jnp.concatenate(held)
        try:
            potential, history = fit(pairs, jnp.concatenate([a, b]), key=key, val=val, **settings)
        except NonFiniteLoss as error:
            raise NonFiniteLoss(
                f"{error} (Rows below {len(a)} are rows of a; subtract {len(a)} from the others "
                "for rows of b.)",
                step=error.step,
                rows=error.rows,
            ) from error
        start = chosen_origins(
            self.reference, potential, jax.random.fold_in(key, 11), a,
            None if held is None else held[0], self.origins, self.blur,
        )  # fmt: skip
        return FittedLightBridge(self.reference, potential, start), _moved_history(history, samples)


def _moved_history(history: History, samples: Samples) -> History:
    """With losses in the coordinates of the data."""
    units, nll = samples.units, history.val_nll
    if units is None:
        return history
    a, b = samples.given
    loss = history.loss + units.loss_apart(samples.reference, a.rows, b.rows)
    if samples.given_held is not None:
        a, b = samples.given_held
        nll = nll + units.loss_apart(samples.reference, a.rows, b.rows)
    return dataclasses.replace(history, loss=loss, val_nll=nll)
