"""Sampling without noise: backward regularised Wasserstein proximal steps of an ensemble."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar, Values
from scorefold.manifolds import Euclidean, check_points
from scorefold.proximal._check import check_finite_positive
from scorefold.proximal.gaussian import check_contracts
from scorefold.proximal.kernel import ProximalKernel
from scorefold.proximal.potentials import Quadratic
from scorefold.samplers import Step, walk

_CHUNK = 256
"""Particles whose attention is computed together: memory 256·N·d."""


class ProximalStep(Step):
    """One step of the gradient flow of ∫ V ρ + β ∫ ρ log ρ, the score taken from the regularised
    proximal operator of the ensemble itself:

        x_i ← x_i − ds·M(∇V(x_i) + β∇log ρ_τ(x_i))
            = x_i − (ds/2)·M∇V(x_i) + (ds/2τ)(x_i − Σ_j w_ij x_j),   the form that is computed.

    ``drift="prox"`` takes (x_i − prox_{τV}(x_i))/τ for M∇V(x_i), for potentials with kinks; at
    ds = τ the step is then x_i + ½(prox(x_i) − Σ_j w_ij x_j).

    The point of this ``Step`` is the whole ensemble, shape (n, d); s is the time of the flow.
    The key is used by ``MonteCarlo`` normalisers alone. n²·d operations.

    Source: Tan, Osher & Li 2024 (BRWP, M = I); Tan, Osher & Li 2025 (PRWP); for ``"prox"`` the
    splitting of Han, Osher & Li 2025.
    """

    kernel: ProximalKernel
    drift: Literal["gradient", "prox"] = "gradient"

    def __check_init__(self) -> None:
        if self.drift not in ("gradient", "prox"):
            raise ValueError(f'drift must be "gradient" or "prox", got {self.drift!r}.')

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        k = self.kernel
        log_z = k.log_normalisers(x, key)

        def move(point: Point) -> Point:
            if self.drift == "gradient":
                down = k.preconditioner.apply(jax.grad(k.potential)(point))
            else:
                down = (point - k.potential.prox(point, k.tau, k.preconditioner)) / k.tau
            away = (point - k.attention(point, x, log_z) @ x) / k.tau
            return point + 0.5 * ds * (away - down)

        return jax.lax.map(move, x, batch_size=min(_CHUNK, x.shape[0]))


def sample_brwp(
    kernel: ProximalKernel,
    particles: Values,
    *,
    step: float,
    steps: int,
    drift: Literal["gradient", "prox"] = "gradient",
    key: Key | None = None,
    keep: bool = False,
) -> Array:
    """Particles near the Gibbs law e^{−V/β}/∫e^{−V/β}, after ``steps`` steps of ``ProximalStep``.

    V need not be normalised. Without noise: the same start gives the same points. For N(0, β/a)
    the limit has variance (β/a)(1 − a²τ²) whatever the step (see ``gaussian_stationary``).

    **Arguments:**

    - ``kernel``: potential, τ, β, preconditioner (PRWP) and normaliser.
    - ``particles``: the start, shape (n, d), distinct points; its float dtype is kept.
    - ``step``: η > 0, at most about 4τ: finite ensembles lose their shape from 8τ on;
      ``steps``: ≥ 1, one ``lax.scan``.
    - ``drift``: see ``ProximalStep``.
    - ``key``: for ``MonteCarlo`` normalisers.
    - ``keep``: all states, shape (steps + 1, n, d), the start first.

    **Raises:** ``ValueError`` for bad numbers, bad rows, a missing key and, for ``Quadratic``,
    τ ≥ 1/λ_max(MA), where the limit would have no spread. ``FloatingPointError`` if particles
    diverge: the step is too large for the potential.
    """
    check_finite_positive(step=step)
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}.")
    shape = np.shape(particles)
    if len(shape) != 2 or shape[1] == 0:
        raise ValueError(f"particles must have shape (n, d), got {shape}.")
    x = check_points(Euclidean(shape[1]), particles, "particles")
    kernel.preconditioner.check(shape[1])
    if isinstance(kernel.potential, Quadratic):
        check_contracts(kernel.potential, kernel.tau, kernel.preconditioner)
    key = kernel.checked_key(key)
    grid = jnp.asarray(step * np.arange(steps + 1), x.dtype)
    out = _run(ProximalStep(kernel, drift), key, x, grid, keep=keep)
    lost = ~np.isfinite(np.asarray(out[-1] if keep else out)).all(axis=1)
    if lost.any():
        raise FloatingPointError(
            f"{int(lost.sum())} of {len(lost)} particles are not finite after {steps} steps: take "
            "a smaller step (below 2/λ of the largest curvature λ of V)."
        )
    return out


_run = eqx.filter_jit(walk)
