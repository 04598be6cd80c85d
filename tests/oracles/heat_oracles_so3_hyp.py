"""Heat kernels of SO(3) and H^d in mpmath, from the textbook formulas: sums over characters, the
integral for H², the recursion in dimension. Slow and obvious; the library uses neither of them."""

from __future__ import annotations

import mpmath as mp


def so3(omega: float, s: float) -> tuple[mp.mpf, mp.mpf]:
    """(log p, ∂_ω log p) with respect to volume 8π²: Σ (2l+1) e^{−l(l+1)s/2} χ_l(ω) / 8π².

    The terms cancel down to e^{−ω²/2s}, so they are summed with that many digits more than 40.
    """
    with mp.workdps(40):
        w, t = mp.mpf(omega), mp.mpf(s)
        digits = int(60 + w * w / (2 * t) / mp.log(10))
    with mp.workdps(digits):
        w, t = mp.mpf(omega), mp.mpf(s)
        # sin((l+½)ω) and cos((l+½)ω) by rotation, e^{−l(l+1)t/2} by ratios e^{−lt}.
        sine, cosine = mp.sin(w / 2), mp.cos(w / 2)
        turn_sine, turn_cosine = mp.sin(w), mp.cos(w)
        half_sine, half_cosine = sine, cosine
        ratio, weight, step = mp.mpf(1), mp.mpf(1), mp.exp(-t)
        total = slope = mp.mpf(0)
        l = 0
        while weight > mp.mpf(10) ** (-digits):
            total += (2 * l + 1) * weight * sine
            slope += (2 * l + 1) * weight * (2 * l + 1) * cosine / 2
            l += 1
            ratio *= step
            weight *= ratio
            sine, cosine = (
                sine * turn_cosine + cosine * turn_sine,
                cosine * turn_cosine - sine * turn_sine,
            )
        log_p = mp.log(total / half_sine / (8 * mp.pi**2))
        return +log_p, slope / total - half_cosine / (2 * half_sine)


def _in_cosh(values: list, d: int, r, s) -> tuple[mp.mpf, mp.mpf]:
    """(log p_d, ∂_r log p_d) from the derivatives in u = cosh r of p_1 or p_2, by
    p_{d+2} = −e^{−ds/2}/(2π) ∂_u p_d."""
    steps = (d - 1) // 2
    start = d - 2 * steps
    factor = mp.fprod(-mp.exp(-(start + 2 * i) * s / 2) / (2 * mp.pi) for i in range(steps))
    return mp.log(factor * values[steps]), mp.sinh(r) * values[steps + 1] / values[steps]


def hyperbolic_odd(r: float, s: float, dims: tuple[int, ...]) -> dict:
    """(log p, ∂_r log p) on H^d for odd d from the Gaussian on the line, differentiated in u."""
    with mp.workdps(60):
        r, s = mp.mpf(r), mp.mpf(s)

        def line(u):
            return mp.exp(-(mp.acosh(u) ** 2) / (2 * s)) / mp.sqrt(2 * mp.pi * s)

        order = (max(dims) + 1) // 2
        values = list(mp.diffs(line, mp.cosh(r), order, direction=1))
        return {d: _in_cosh(values, d, r, s) for d in dims}


def hyperbolic_even(r: float, s: float, dims: tuple[int, ...]) -> dict:
    """The same for even d from McKean's integral for H²,

        p = √2 e^{−s/8} (2πs)^{−3/2} ∫_r^∞ σ e^{−σ²/2s} (cosh σ − cosh r)^{−1/2} dσ,

    by tanh-sinh quadrature in x, cosh σ = cosh r + x², which removes the singular end."""
    with mp.workdps(25):
        r, s = mp.mpf(r), mp.mpf(s)
        u0 = mp.cosh(r)
        ends = [
            mp.sqrt(mp.cosh(mp.sqrt(r * r + 2 * s * k * k)) - u0) for k in (0, 1, 2, 4, 6, 8, 11)
        ]

        def plane(u):
            def integrand(x):
                sigma = mp.acosh(u + x * x)
                return 2 * sigma * mp.exp((r * r - sigma**2) / (2 * s)) / mp.sinh(sigma)

            scale = mp.sqrt(2) * mp.exp(-s / 8) * (2 * mp.pi * s) ** mp.mpf(-1.5)
            return scale * mp.quad(integrand, ends)

        values = list(mp.diffs(plane, u0, max(dims) // 2, direction=1))
        found = {d: _in_cosh(values, d, r, s) for d in dims}
        return {d: (log_p - r * r / (2 * s), slope) for d, (log_p, slope) in found.items()}


def so3_images(omega: float, s: float) -> tuple[mp.mpf, mp.mpf]:
    """(log p, ∂_ω log p) on SO(3) from the Poisson dual of the character sum,
    e^{s/8} √(2π) s^{−3/2} Σ_n (−1)ⁿ ω_n e^{−ω_n²/2s} / sin(ω/2) / 8π², ω_n = ω + 2πn: for
    distances at which the characters would need thousands of digits."""
    with mp.workdps(60):
        w, t = mp.mpf(omega), mp.mpf(s)
        total = slope = mp.mpf(0)
        for n in range(-12, 13):
            x = w + 2 * mp.pi * n
            term = (-1) ** n * mp.exp((w * w - x * x) / (2 * t))
            total += x * term
            slope += (1 - x * x / t) * term
        front = mp.exp(t / 8) * mp.sqrt(2 * mp.pi) * t ** mp.mpf(-1.5) / (8 * mp.pi**2)
        log_p = mp.log(front * total / mp.sin(w / 2)) - w * w / (2 * t)
        return log_p, slope / total - mp.cot(w / 2) / 2
