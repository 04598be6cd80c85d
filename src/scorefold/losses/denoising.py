"""Denoising score matching, against the start of the path or against its previous state."""

import math

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar
from scorefold.fields import TangentField
from scorefold.heat import HeatKernel
from scorefold.losses._base import Loss
from scorefold.noising import Noising
from scorefold.noising.geodesic import geodesic_step


class Denoising(Loss):
    """ℓ_{t|0} = ½‖s_θ(x_s, s) − ∇ log p_s(x_s | x₀)‖², x_s ~ p_s(· | x₀).

    **Arguments:** ``kernel``: the heat kernel whose score is the target (default: the exact
    transition). ``TruncatedSeries`` and ``Varadhan`` give the targets of the first Riemannian
    score models; they are biased, the first at small s and the second at large s.
    **Raises:** when called, ``NotImplementedError`` for a noising without a closed transition,
    and ``ValueError`` for a ``kernel`` with a noising that has a drift.

    Source: De Bortoli et al. 2022, Table 2, ℓ_{t|0}; Vincent 2011.
    """

    kernel: HeatKernel | None = None

    def __call__(
        self, field: TangentField, noising: Noising, x0: Point, s: Scalar, key: Key
    ) -> Scalar:
        if self.kernel is not None and noising.kernel is None:
            raise ValueError(
                "kernel: a heat kernel is the transition of Brownian motion, but this noising "
                f"({type(noising).__name__}) has a drift. Use Denoising() without a kernel."
            )
        x = noising.sample(key, x0, s)
        transition = noising if self.kernel is None else self.kernel
        error = field(x, s) - transition.score(x, x0, s)
        return 0.5 * noising.manifold.inner(x, error, error)


class ConsecutiveDenoising(Loss):
    """ℓ_{t|r} = ½‖s_θ(x_s, s) − ∇ log p(x_s | x_r)‖² with x_r a state of the path a little before,
    at s − h.

    The target is exact where the noising's transition is. Where it is not, or with
    ``walk=True``, x_s is one step of the geodesic random walk from x_r and the target is that of
    Varadhan at small h,

        x_s = exp_{x_r}(h b(x_r) + √h z),   ∇ log p(x_s | x_r) ≈ log_{x_s}(exp_{x_r}(h b(x_r))) / h,

    with a bias of order h. The variance of the target is d/h, against d/s for ``Denoising``.

    **Arguments:** ``fraction`` and ``longest``: h = min(fraction · s, longest), with
    0 < fraction ≤ 1 and longest > 0; ``walk``: take the step and the target of the walk always.
    **Raises:** ``ValueError`` for values out of range.

    Source: De Bortoli et al. 2022, Table 2, ℓ_{t|s}.
    """

    fraction: float = 0.1
    longest: float = 0.05
    walk: bool = False

    def __check_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], got {self.fraction!r}.")
        if not (self.longest > 0 and math.isfinite(self.longest)):
            raise ValueError(f"longest must be a positive finite number, got {self.longest!r}.")

    def __call__(
        self, field: TangentField, noising: Noising, x0: Point, s: Scalar, key: Key
    ) -> Scalar:
        m = noising.manifold
        before, last = jax.random.split(key)
        h = jnp.minimum(self.fraction * s, self.longest)
        start = noising.sample(before, x0, s - h)
        if self.walk or not noising.exact:
            drift = h * noising.drift(start)
            x = geodesic_step(m, last, start, drift, h)
            target = m.log(x, m.exp(start, drift)) / h
        else:
            x = noising.sample(last, start, h)
            target = noising.score(x, start, h)
        error = field(x, s) - target
        return 0.5 * m.inner(x, error, error)
