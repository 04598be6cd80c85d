"""Denoising score matching with the exact, the truncated or the Varadhan kernel."""

from __future__ import annotations

from scorefold._types import Key, Point, Scalar
from scorefold.fields import TangentField
from scorefold.losses._base import Loss
from scorefold.noising import Noising

__all__ = ["Denoising"]


class Denoising(Loss):
    """ℓ_{t|0} = ½‖s_θ(x_s, s) − ∇ log p_s(x_s | x₀)‖², x_s ~ p_s(· | x₀).

    Source: De Bortoli et al. 2022, Table 2 (poster), first three rows.
    """

    def __call__(
        self, field: TangentField, noising: Noising, x0: Point, s: Scalar, key: Key
    ) -> Scalar:
        x = noising.sample(key, x0, s)
        error = field(x, s) - noising.score(x, x0, s)
        return 0.5 * noising.manifold.inner(x, error, error)
