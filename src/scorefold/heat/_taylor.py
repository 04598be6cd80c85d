"""Truncated power series whose coefficients are arrays, and the functions the images need."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import constant

Series = list[Array]
"""Coefficients a₀…a_K of Σ a_k ξ^k; every product is cut after ξ^K."""


def multiply(a: Series, b: Series) -> Series:
    """The product, cut at the common order."""
    return [sum((a[i] * b[k - i] for i in range(1, k + 1)), a[0] * b[k]) for k in range(len(a))]


def compose(derivatives: Sequence[Array | float], x: Series) -> Series:
    """f(x₀ + x) from f^{(j)}(x₀); the constant coefficient of ``x`` must be zero."""
    order = len(x) - 1
    zero = jnp.zeros_like(x[0])
    total = [zero + derivatives[order] / math.factorial(order)] + [zero] * order
    for j in reversed(range(order)):
        total = multiply(x, total)
        total[0] = zero + derivatives[j] / math.factorial(j)
    return total


def horner(coefficients: np.ndarray, x: Array) -> list[Array]:
    """Σ_j coefficients[i, j] x^j for each row i; one pass for all rows."""
    columns = constant(coefficients.reshape(*coefficients.shape, *(1,) * x.ndim), x)
    x = x[None]
    total = jnp.broadcast_to(columns[:, -1], (len(coefficients), *x.shape[1:]))
    for j in range(coefficients.shape[1] - 2, -1, -1):
        total = total * x + columns[:, j]
    return list(total)


class TaylorTable(NamedTuple):
    """Polynomials in 2z/end − 1 for f^{(j)}(z)/j!, j = 0…K, on 0 ≤ z ≤ end."""

    end: float
    coefficients: np.ndarray


def tabulated(table: TaylorTable, z: Array, unit: Array) -> Series:
    """Taylor coefficients of f(z + unit·ξ) in ξ."""
    rows = horner(table.coefficients, z * (2.0 / table.end) - 1.0)
    return [row * unit**j for j, row in enumerate(rows)]


@functools.lru_cache(maxsize=64)
def hypergeometric_table(a: float, c: float, end: float, order: int, dtype: str) -> TaylorTable:
    """₂F₁(a, a; c; z), whose j-th derivative is (a)_j²/(c)_j ₂F₁(a+j, a+j; c+j; z), interpolated
    at Chebyshev nodes. The degree follows from the singularity at z = 1."""
    ratio = 2.0 / end - 1.0 + math.sqrt((2.0 / end - 1.0) ** 2 - 1.0)
    degree = math.ceil(-math.log(float(jnp.finfo(dtype).eps) / 8) / math.log(ratio)) + order
    cheb = np.polynomial.chebyshev
    tables, lead = [], 1.0
    for j in range(order + 1):
        f: Callable = lambda x, j=j: _hypergeometric(a + j, c + j, 0.5 * end * (x + 1))  # noqa: E731
        tables.append(lead * cheb.cheb2poly(cheb.chebinterpolate(f, degree)))
        lead *= (a + j) ** 2 / ((c + j) * (j + 1))
    return TaylorTable(end, np.stack(tables))


def _hypergeometric(a: float, c: float, z: np.ndarray) -> np.ndarray:
    """₂F₁(a, a; c; z) for 0 ≤ z < 1 by its series."""
    term = np.ones_like(z)
    total = term.copy()
    for n in range(300):
        term = term * (a + n) ** 2 / ((c + n) * (n + 1)) * z
        total += term
    return total


def bessel(w: Array, order: int) -> list[Array]:
    """e^{−w} C_n(w²) for n ≤ order, where C₀(x) = cosh √x and C_{n+1} = 2 dC_n/dx:

        C_n(x) = Σ_j x^j / ((2j)!! (2j + 2n − 1)!!),   C_{n−1} = x C_{n+1} + (2n − 1) C_n

    (modified spherical Bessel functions without their power of √x). Downwards from the series
    for small w, upwards from cosh and sinh for large w: each way is stable where it is used.
    """
    if order == 0:
        return [0.5 * (1 + jnp.exp(-2 * w))]
    cut = 3.0 * order
    small = w < cut
    low = jnp.where(small, w, 0.0)
    x = low * low
    table = _bessel_table(order, cut, w.dtype.name)
    down = [jnp.exp(-low) * row for row in horner(table, x / cut**2)]
    for n in range(order - 1, 0, -1):
        down.insert(0, x * down[1] + (2 * n - 1) * down[0])
    high = jnp.where(small, cut, w)
    fade = jnp.exp(-2 * high)
    up = [0.5 * (1 + fade), 0.5 * (1 - fade) / high]
    for n in range(1, order):
        up.append((up[n - 1] - (2 * n - 1) * up[n]) / high**2)
    return [jnp.where(small, p, q) for p, q in zip(down, up, strict=True)]


@functools.lru_cache(maxsize=64)
def _bessel_table(order: int, cut: float, dtype: str) -> np.ndarray:
    """Coefficients of C_{order−1} and C_order in powers of x/cut², up to rounding at the end."""
    resolution = float(jnp.finfo(dtype).eps) / 8 * math.exp(cut) / cut**order
    rows = []
    for n in (order - 1, order):
        row = [1.0 / math.prod(range(2 * n - 1, 0, -2))]
        while row[-1] > resolution or 2 * len(row) < cut:
            j = len(row)
            row.append(row[-1] * cut**2 / (2 * j * (2 * j + 2 * n - 1)))
        rows.append(row)
    length = max(map(len, rows))
    return np.asarray([row + [0.0] * (length - len(row)) for row in rows])
