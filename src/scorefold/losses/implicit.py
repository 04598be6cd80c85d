"""Implicit score matching: no transition density is needed, only draws."""

from typing import Literal

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar
from scorefold.fields import TangentField, hutchinson, probe, value_and_divergence
from scorefold.fields.divergence import Probe, check_probe
from scorefold.losses._base import Loss
from scorefold.noising import Noising


class Implicit(Loss):
    """ℓ_im = ½‖s_θ(x_s, s)‖² + div s_θ(x_s, s), x_s ~ p_s(· | x₀).

    **Arguments:** ``divergence``: "exact" (d Jacobian–vector products) or "hutchinson" (one, along
    a random tangent ``probe``, "rademacher" or "gaussian"; unbiased).
    **Raises:** ``ValueError`` for other names.

    Source: De Bortoli et al. 2022, Table 2, ℓ_im; Hyvärinen 2005.
    """

    divergence: Literal["exact", "hutchinson"] = "exact"
    probe: Probe = "rademacher"

    def __check_init__(self) -> None:
        if self.divergence not in ("exact", "hutchinson"):
            raise ValueError(
                f'divergence must be "exact" or "hutchinson", got {self.divergence!r}.'
            )
        check_probe(self.probe)

    def __call__(
        self, field: TangentField, noising: Noising, x0: Point, s: Scalar, key: Key
    ) -> Scalar:
        m = noising.manifold
        forward, draw = jax.random.split(key)
        x = noising.sample(forward, x0, s)
        if self.divergence == "exact":
            value, div = value_and_divergence(lambda y: field(y, s), m, x)
        else:
            value, div = hutchinson(lambda y: field(y, s), m, x, draw, self.probe)
        return 0.5 * m.inner(x, value, value) + div


class Sliced(Loss):
    """ℓ_sl = mean over n random tangent vectors ε of ½⟨ε, s_θ⟩² + ⟨∇_ε s_θ, ε⟩, x_s ~ p_s(· | x₀).

    The score is matched along each slice ε alone: this is the sliced loss proper, eq. (8) of the
    source. Its variant with ½‖s_θ‖² in the place of ½⟨ε, s_θ⟩² ("variance reduced", there
    Section 3.2; the form of De Bortoli et al. 2022, Table 2) is, for n = 1, exactly
    ``Implicit(divergence="hutchinson")``; pass ``reduced=True`` to have it for any n.

    **Arguments:** ``projections``: n ≥ 1; they share one linearisation of the field. ``probe``:
    "rademacher" or "gaussian". ``reduced``: the variant.
    **Raises:** ``ValueError`` for values out of range.

    Source: Song et al. 2019.
    """

    projections: int = 1
    probe: Probe = "rademacher"
    reduced: bool = False

    def __check_init__(self) -> None:
        if not (isinstance(self.projections, int) and self.projections >= 1):
            raise ValueError(f"projections must be a whole number >= 1, got {self.projections!r}.")
        check_probe(self.probe)

    def __call__(
        self, field: TangentField, noising: Noising, x0: Point, s: Scalar, key: Key
    ) -> Scalar:
        m = noising.manifold
        forward, draw = jax.random.split(key)
        x = noising.sample(forward, x0, s)
        value, tangent_map = jax.linearize(lambda y: field(y, s), x)

        def along(k: Key) -> Scalar:
            e = probe(m, x, k, self.probe)
            square = m.inner(x, value, value) if self.reduced else m.inner(x, value, e) ** 2
            return 0.5 * square + m.covariant(x, value, e, tangent_map(e), e)

        return jnp.mean(jax.vmap(along)(jax.random.split(draw, self.projections)))
