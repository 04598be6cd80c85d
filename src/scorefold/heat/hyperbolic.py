"""Heat kernel of hyperbolic space H^d as a function of the distance."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._types import DTypeLike, Key, Scalar, constant, safe_norm, safe_where
from scorefold.heat._base import RadialProfile
from scorefold.heat._hyperbolic_integral import (
    bell,
    derivatives,
    even_kernel,
    log_cosh_half,
    log_sinhc,
)
from scorefold.heat._hyperbolic_table import tabulated

_LARGEST = 8


class HyperbolicProfile(RadialProfile):
    """Brownian motion on H^d (curvature −1), 2 ≤ d ≤ 8, density with respect to its volume.

    Every dimension follows from p_{d+2} = −e^{−ds/2}/(2π sinh r) ∂_r p_d. With u = cosh r this is
    a derivative in u, and (−d/du)^k e^{−r²/2s} = s^{−k} e^{−r²/2s} B_k, a sum of positive terms:

        d = 2m+1:  p = (2π)^{−m} e^{−m²s/2} (2πs)^{−1/2} s^{−m} e^{−r²/2s} B_m(r, s),
        d = 2m+2:  p = √2 (2π)^{−m−3/2} e^{−(m+½)²s/2} s^{−1/2−k} ∫₀^∞ e^{−σ²/2s} B_k(σ, s) dy/√y,
                   k = m+1,  cosh σ = cosh r + y,

    of which H³ is (2πs)^{−3/2} (r/sinh r) e^{−s/2−r²/2s} and H² the classical integral. Nothing
    is differentiated numerically and nothing cancels: the slope is B_{k+1}/B_k up to a factor.
    The integral is the midpoint rule in v, σ² = r² + 2sv², in float64; in float32 it is read off a
    table of it up to r = 60 and s = 40, made once. Beyond, log p is off by up to 0.3 nats and a
    thousandth of itself, and the slope by a tenth.

    Error of log p: 4e-6·max(1, |log p|) in float32 for r ≤ 60 and 1e-6 ≤ s ≤ 40, 1e-10 in float64
    for r ≤ 6 and 1e-4 ≤ s ≤ 10.

    **Raises:** ``ValueError`` unless 2 ≤ d ≤ 8, the dimensions for which this is tested.

    Source: Grigor'yan & Noguchi 1998, "The heat kernel on hyperbolic space", Theorem 1.1 and (1.2).
    """

    d: int = 2

    def __check_init__(self) -> None:
        if not 2 <= self.d <= _LARGEST:
            raise ValueError(
                f"HyperbolicProfile(d) needs 2 <= d <= {_LARGEST}, got d={self.d}. "
                "H^1 is the line: use EuclideanHeat."
            )

    def log_prob(self, r: Scalar, s: Scalar) -> Scalar:
        if self.d % 2 == 0:
            return self._even(r, s)[0]
        m = (self.d - 1) // 2
        common = -0.5 * m * m * s - r * r / (2.0 * s) - 2.0 * m * log_cosh_half(r, jnp)
        value = jnp.log(bell(derivatives(r, m, jnp), s)[m])
        return common + value - (m + 0.5) * jnp.log(2.0 * math.pi * s)

    def slope(self, r: Scalar, s: Scalar) -> Scalar:
        if self.d % 2 == 0:
            return self._even(r, s)[1]
        m = (self.d - 1) // 2
        w = derivatives(r, m + 1, jnp)
        b = bell(w, s)
        return b[m + 1] / (s * w[0] * b[m])

    def _even(self, r: Scalar, s: Scalar) -> tuple[Scalar, Scalar]:
        """log p and the slope for even d."""
        if r.dtype == jnp.float64:
            return even_kernel(r, s, self.d, jnp)
        return tabulated(r, s, self.d)

    def sample(self, key: Key, s: Scalar, dtype: DTypeLike) -> Scalar:
        """One draw of the distance law, whose density is p_s(r) sinh^{d−1} r times the area of the
        unit sphere.

        Exact for d = 3, |√s Z₃ + s e₁|, and d = 2, cosh r = cosh σ − V²(cosh σ − 1) with
        σ = |√s Z₃ + ½s e₁|, V uniform. For d ≥ 4 the distribution function is inverted on a grid
        of 128 distances; its error is below 1e-5.
        """
        s = jnp.asarray(s, dtype)
        if self.d > 3:
            return self._invert(jax.random.uniform(key, (), dtype), s)
        radial, fibre = jax.random.split(key)
        shift = constant([0.5 * (self.d - 1), 0.0, 0.0], s)
        sigma = safe_norm(jnp.sqrt(s) * jax.random.normal(radial, (3,), dtype) + s * shift)
        if self.d == 3:
            return sigma
        v = jax.random.uniform(fibre, (), dtype)
        # sinh²(r/2) = (1 − V²) sinh²(σ/2), without overflow at large σ.
        share = jnp.sqrt((1.0 - v) * (1.0 + v))
        far = sigma > 40.0
        exact = 2.0 * jnp.arcsinh(share * jnp.sinh(0.5 * safe_where(~far, sigma, 40.0)))
        return jnp.where(far, sigma + 2.0 * jnp.log(share), exact)

    def _invert(self, u: Scalar, s: Scalar) -> Scalar:
        """The distance below which a share u of the distance law lies.

        The drift of the distance is ½(d−1) coth r ≥ ½(d−1), which bounds the law from both sides.
        The density is integrated to fourth order over the cells of the grid and taken as linear
        within one.
        """
        drift, spread = 0.5 * (self.d - 1) * s, jnp.sqrt(s)
        low = jnp.maximum(drift - 6.5 * spread, 0.0)
        high = drift + (6.5 + math.sqrt(self.d)) * spread
        ramp = constant(np.linspace(0.0, 1.0, 129), s)
        r = low + (high - low) * ramp[1:]
        log_p = jax.vmap(self.log_prob, (0, None))(r, s)
        log_f = log_p + (self.d - 1) * (jnp.log(r) + log_sinhc(r, jnp))
        f = jnp.exp(log_f - jnp.max(log_f))
        f = jnp.concatenate([jnp.zeros_like(f[:1]), f])
        rise = jnp.asarray(jnp.gradient(f))
        trapezia = 0.5 * (f[1:] + f[:-1])
        cells = jnp.maximum(trapezia + (rise[:-1] - rise[1:]) / 12.0, 0.0)
        below = jnp.concatenate([jnp.zeros_like(f[:1]), jnp.cumsum(cells)])
        goal = u * below[-1]
        i = jnp.clip(jnp.searchsorted(below, goal, side="right") - 1, 0, cells.size - 1)
        rest = (goal - below[i]) * trapezia[i] / jnp.maximum(cells[i], jnp.finfo(f.dtype).tiny)
        root = jnp.sqrt(jnp.maximum(f[i] * f[i] + 2.0 * (f[i + 1] - f[i]) * rest, 0.0))
        part = 2.0 * rest / jnp.maximum(f[i] + root, jnp.finfo(f.dtype).tiny)
        return low + (high - low) * (ramp[i] + jnp.clip(part, 0.0, 1.0) / cells.size)
