"""Heat flow and derivatives of functions on a periodic grid: three ways to compute them."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike, Scalar, ScalarLike, safe_where
from scorefold.heat import SphereProfile
from scorefold.proximal.box import PeriodicBox


class Calculus(eqx.Module):
    """Derivatives and the heat flow (generator ½Δ) on the nodes of a ``PeriodicBox``.

    Functions are arrays of shape ``box.shape``, vector fields of shape ``(*box.shape, d)``.
    """

    box: eqx.AbstractVar[PeriodicBox]

    def log_heat(self, log_f: Array, s: ScalarLike) -> Array:
        """log(G_s * e^{log_f}), G_s the normal law of variance s wrapped around the box, s ≥ 0.

        **Raises:** ``ValueError`` if ``log_f`` is not one value per node."""
        self.box.check("log_f", log_f)
        return _flow(self, log_f, jnp.asarray(s, log_f.dtype))

    @abc.abstractmethod
    def _log_heat(self, log_f: Array, s: Scalar) -> Array:
        """``log_heat`` for s in the dtype of ``log_f``."""

    @abc.abstractmethod
    def gradient(self, f: Array) -> Array:
        """∇f, shape ``(*shape, d)``."""

    @abc.abstractmethod
    def divergence(self, v: Array) -> Array:
        """∇·v of a vector field of shape ``(*shape, d)``."""

    @abc.abstractmethod
    def laplacian(self, f: Array) -> Array:
        """Δf."""


class _Fourier(Calculus):
    """Derivatives by multiplying the spectrum."""

    def gradient(self, f: Array) -> Array:
        spectrum = jnp.fft.fftn(f)
        parts = [jnp.fft.ifftn(k * spectrum).real for k in _odd_waves(self.box, f.dtype)]
        return jnp.stack(parts, axis=-1)

    def divergence(self, v: Array) -> Array:
        waves = _odd_waves(self.box, v.dtype)
        parts = [k * jnp.fft.fftn(v[..., axis]) for axis, k in enumerate(waves)]
        return jnp.fft.ifftn(sum(parts[1:], parts[0])).real

    def laplacian(self, f: Array) -> Array:
        return _multiply(-jnp.asarray(_squared(self.box), f.dtype), f)


class Spectral(_Fourier):
    """Fourier: exact in s, and exact in x for trigonometric polynomials the grid resolves.

    The flow multiplies wave k by e^{−|k|²s/2}, at every s. Errors are rounding *of the largest
    value*: where G_s * f is below ε·max f nothing is known about it, and its log is that of the
    floor 8ε·max f. Use ``LogKernel`` for functions that range over more decades than that.

    Source of the method: Cole–Hopf on the torus; e.g. Zhang et al. 2024.
    """

    box: PeriodicBox

    def _log_heat(self, log_f: Array, s: Scalar) -> Array:
        peak = jax.lax.stop_gradient(jnp.max(log_f))
        waves = jnp.asarray(_squared(self.box), log_f.dtype)
        value = _multiply(jnp.exp(-0.5 * s * waves), jnp.exp(log_f - peak))
        floor = 8 * float(jnp.finfo(log_f.dtype).eps)
        # s = 0 costs no digits.
        flowed = jnp.log(jnp.maximum(value, floor)) + peak
        return jnp.where(s > 0, flowed, log_f)


class LogKernel(_Fourier):
    """The heat kernel itself, summed in log space: every value to *relative* accuracy.

        log(G_s * f)(x_i) = logsumexp_j(log G_s(x_i − x_j) + log f(x_j)) + log h, axis by axis,

    with the exact kernel of the circle. The sum is the trapezoid rule, off by e^{−2π²s/h²}
    relative to the largest mode: rounding for s ≥ 2h² (h the spacing), 1e-4 at s = h²/2.
    The weights are normalised, so that mass is kept, positivity too, and s → 0 is the identity.
    n^{d+1} operations. Derivatives are those of ``Spectral``.
    """

    box: PeriodicBox

    def _log_heat(self, log_f: Array, s: Scalar) -> Array:
        moving = s > 0
        out = log_f
        for axis in range(self.box.dim):
            kernel = self._log_weights(axis, safe_where(moving, s, 1.0))
            rows = jnp.moveaxis(out, axis, -1)
            flat = rows.reshape(-1, rows.shape[-1])
            summed = jax.vmap(lambda f, k=kernel: jax.nn.logsumexp(k + f[None, :], axis=1))(flat)
            out = jnp.moveaxis(summed.reshape(rows.shape), -1, axis)
        return jnp.where(moving, out, log_f)

    def _log_weights(self, axis: int, s: Scalar) -> Array:
        """log of the circulant matrix of weights, rows of sum 1."""
        n = self.box.shape[axis]
        unit = 2.0 * math.pi / self.box.length[axis]
        # Radians of a circle of length 2π; the nearer way round.
        steps = np.minimum(np.arange(n), n - np.arange(n))
        angle = jnp.asarray(2.0 * math.pi * steps / n, s.dtype)
        line = jax.vmap(SphereProfile(1).log_prob, (0, None))(angle, unit**2 * s)
        line = line - jax.nn.logsumexp(line)
        return line[(np.arange(n)[:, None] - np.arange(n)[None, :]) % n]


class FiniteDifference(Calculus):
    """Central differences, and explicit heat steps u ← u + ½Δs·Δ_h u: order 2 in the spacing.

    The step Δs is at most ``courant`` of the largest one that keeps all weights non-negative,
    1/Σ_i h_i^{−2}: values stay positive, their sum is kept, and the error in time is O(h²) too. No
    Fourier transform anywhere, which makes it an independent check of ``Spectral``. s/Δs steps;
    derivatives with respect to s are available in forward mode only.

    **Arguments:** ``courant``: in (0, 1]. At 1/3 in one dimension the two errors cancel and the
    order is 4.
    """

    box: PeriodicBox
    courant: float = 0.5

    def __check_init__(self) -> None:
        if not 0 < self.courant <= 1:
            raise ValueError(f"courant must lie in (0, 1], got {self.courant}.")

    def _log_heat(self, log_f: Array, s: Scalar) -> Array:
        largest = self.courant / sum(h**-2.0 for h in self.box.spacing)
        count = jnp.ceil(s / largest).astype(jnp.int32)
        step = s / jnp.maximum(count, 1).astype(s.dtype)
        peak = jax.lax.stop_gradient(jnp.max(log_f))

        def advance(_: Array, u: Array) -> Array:
            return u + 0.5 * step * self.laplacian(u)

        value = jax.lax.fori_loop(0, count, advance, jnp.exp(log_f - peak))
        tiny = float(jnp.finfo(log_f.dtype).tiny)
        return jnp.where(s > 0, jnp.log(jnp.maximum(value, tiny)) + peak, log_f)

    def gradient(self, f: Array) -> Array:
        return jnp.stack([self._slope(f, axis) for axis in range(self.box.dim)], axis=-1)

    def divergence(self, v: Array) -> Array:
        parts = [self._slope(v[..., axis], axis) for axis in range(self.box.dim)]
        return sum(parts[1:], parts[0])

    def _slope(self, f: Array, axis: int) -> Array:
        return (jnp.roll(f, -1, axis) - jnp.roll(f, 1, axis)) / (2.0 * self.box.spacing[axis])

    def laplacian(self, f: Array) -> Array:
        parts = [
            (jnp.roll(f, -1, axis) + jnp.roll(f, 1, axis) - 2.0 * f) / h**2
            for axis, h in enumerate(self.box.spacing)
        ]
        return sum(parts[1:], parts[0])


@eqx.filter_jit
def _flow(calculus: Calculus, log_f: Array, s: Scalar) -> Array:
    return calculus._log_heat(log_f, s)


def _waves(box: PeriodicBox) -> list[np.ndarray]:
    """Angular wave numbers of each axis, shaped to multiply a spectrum."""
    out = []
    for axis, (n, h) in enumerate(zip(box.shape, box.spacing, strict=True)):
        k = 2.0 * math.pi * np.fft.fftfreq(n, h)
        out.append(np.broadcast_to(k.reshape([-1 if a == axis else 1 for a in range(box.dim)]),
                                   box.shape))  # fmt: skip
    return out


def _squared(box: PeriodicBox) -> np.ndarray:
    return sum((k**2 for k in _waves(box)), np.zeros(box.shape))


def _odd_waves(box: PeriodicBox, dtype: DTypeLike) -> list[Array]:
    """i·k for first derivatives. The highest wave of an even grid has no sign: its slope is 0."""
    complex_type = jnp.complex64 if dtype == jnp.float32 else jnp.complex128
    out = []
    for k, n, h in zip(_waves(box), box.shape, box.spacing, strict=True):
        nyquist = (n % 2 == 0) & (np.abs(np.abs(k) - math.pi / h) < 1e-9 / h)
        out.append(jnp.asarray(1j * np.where(nyquist, 0.0, k), complex_type))
    return out


def _multiply(factors: Array, f: Array) -> Array:
    """The function whose spectrum is that of f times real factors."""
    spectrum = jnp.fft.fftn(f)
    return jnp.fft.ifftn(factors.astype(spectrum.dtype) * spectrum).real
