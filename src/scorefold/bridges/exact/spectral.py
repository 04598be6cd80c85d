"""Exact bridges on compact spaces, between laws with a symmetry: Sinkhorn by eigenfunctions."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Point, Scalar, Values
from scorefold.bridges._base import Bridge
from scorefold.bridges.exact.mixture_potential import tilted_log_prob
from scorefold.bridges.exact.spectral_basis import SpectralBasis, spectral_basis
from scorefold.noising import Noising

LogDensity = Callable[[np.ndarray], Values]


class SpectralBridge(Bridge):
    """The bridge of Brownian motion between laws that share a symmetry. The heat semigroup is
    diagonal in eigenfunctions B_l of the Laplacian, so

        ψ_s = Σ_l c_l e^{−λ_l(S−s)/2} B_l,   φ_s = Σ_l d_l e^{−λ_l s/2} B_l,   p_s = φ_s ψ_s,

    with c, d from Sinkhorn's iteration φ_0 = p_0/ψ_0, ψ_S = p_1/φ_S at the nodes of a quadrature
    that is exact for the B_l. Potentials, laws and drifts are then known at every point and s.

    | manifold | symmetry | densities are functions of | B_l |
    |---|---|---|---|
    | S^d, d ≥ 2 | rotations about ``centre`` | z = ⟨x, centre⟩, shape (n,) | Legendre, Gegenbauer |
    | SO(3) | conjugation | angle ω of centreᵀR, shape (n,) | characters |
    | T^1, T^2 | none | angles, shape (n, d) | waves |

    **Arguments:**

    - ``reference``: Brownian motion on one of these, with any clock (``brownian_reference``).
    - ``log_p0``, ``log_p1``: log densities up to a constant, of the argument above, in NumPy.
    - ``degree``: the highest l (waves k on the torus) kept. ``tail`` says what is left at the end:
      the last eighth of the coefficients relative to the largest.
    - ``centre``: the pole (default: ``manifold.origin()``).
    - ``tolerance``: on ``residual``, the largest error of the two marginals relative to their
      maxima.

    **Raises:** ``ValueError`` for a reference with a drift and other manifolds; ``RuntimeError``
    where a potential is not positive to rounding (S is short beside the distance of the laws, or
    ``degree`` too small) and where the iteration does not converge.

    Values are exact to rounding of the LARGEST value of each potential: where a potential has
    fallen below 1e-15 of its maximum (1e-7 in float32 points) it is not known.
    """

    reference: Noising
    basis: SpectralBasis
    residual: float
    tail: float
    iterations: int
    c: np.ndarray = fixed()
    d: np.ndarray = fixed()
    eigenvalues: np.ndarray = fixed()

    def __init__(
        self,
        reference: Noising,
        log_p0: LogDensity,
        log_p1: LogDensity,
        *,
        degree: int = 64,
        centre: Values | None = None,
        tolerance: float = 1e-13,
        max_iterations: int = 10_000,
    ) -> None:
        if reference.kernel is None:
            raise ValueError("reference: must be Brownian motion; the heat semigroup is used.")
        self.reference = reference
        self.basis = spectral_basis(reference.manifold, degree, centre)
        nodes, w, eigenvalues, values = self.basis.tables()
        p0, p1 = _normalised("log_p0", log_p0, nodes, w), _normalised("log_p1", log_p1, nodes, w)
        decay = np.exp(-0.5 * eigenvalues * self.total)

        def heat(f: np.ndarray) -> np.ndarray:
            return values.T @ (decay * (values @ (w * f)))

        phi, psi, gap = p0, np.ones_like(p1), math.inf
        for count in range(1, max_iterations + 1):  # noqa: B007  (kept)
            phi = p0 / _positive(heat(psi))
            there = _positive(heat(phi))
            gap = float(np.abs(there * psi - p1).max() / p1.max())
            if gap <= tolerance:
                break
            psi = p1 / there
        else:
            raise RuntimeError(
                f"The marginals are still off by {gap:.3g} after {max_iterations} iterations. "
                "Raise max_iterations or tolerance, or take a longer clock."
            )
        self.c, self.d, self.eigenvalues = values @ (w * psi), values @ (w * phi), eigenvalues
        self.residual, self.iterations = gap, count
        order = np.argsort(eigenvalues)[-max(1, len(eigenvalues) // 8) :]
        self.tail = float(max(np.abs(a[order]).max() / np.abs(a).max() for a in (self.c, self.d)))

    # -- the two gradients -----------------------------------------------------------------------
    def log_psi(self, x: Point, s: Scalar) -> Scalar:
        """log ψ_s(x)."""
        return jnp.log(self._evaluate(self.c, x, self.total - s)[0])

    def log_phi(self, x: Point, s: Scalar) -> Scalar:
        """log φ_s(x)."""
        return jnp.log(self._evaluate(self.d, x, s)[0])

    def forward(self, x: Point, s: Scalar) -> Point:
        value, gradient = self._evaluate(self.c, x, self.total - s)
        return gradient / value

    def backward(self, x: Point, s: Scalar) -> Point:
        value, gradient = self._evaluate(self.d, x, s)
        return gradient / value

    # -- public edge -----------------------------------------------------------------------------
    def log_prob(self, t: float | Scalar, x: Values) -> Array:
        """log p_t with respect to volume, of one point or a batch."""
        rows, batch = self.enter(x, 0.0, "x")
        return _log_prob(self, rows, jnp.asarray(t, rows.dtype)).reshape(batch)

    def conditional_log_prob(self, x1: Values, x0: Values) -> Array:
        """log density of X_S at x₁ given X_0 = x₀, row by row of two batches:
        log p_S(x₁ | x₀) + log ψ_S(x₁) − log ψ_0(x₀)."""
        there, batch = self.enter(x1, self.total, "x1")
        here = self.enter(x0, 0.0, "x0")[0]
        return tilted_log_prob(self.reference, self.log_psi, there, here).reshape(batch)

    def coupling(self) -> tuple[np.ndarray, np.ndarray]:
        """The law of the symmetric coordinates of (X_0, X_S): the n nodes and the masses
        w_i φ_0(z_i) K(z_i, z_j) ψ_S(z_j) w_j, shape (n, n), a quadrature for smooth functions."""
        nodes, w, eigenvalues, values = self.basis.tables()
        kernel = values.T @ (np.exp(-0.5 * eigenvalues * self.total)[:, None] * values)
        left, right = w * (values.T @ self.d), w * (values.T @ self.c)
        return nodes, left[:, None] * kernel * right[None, :]

    def relative_entropy(self) -> float:
        """KL(P ‖ R) in nats, R the Brownian motion started from p_0:

        ½ E∫₀^S |∇ log ψ_s(X_s)|² ds = ∫ p_1 log ψ_S − ∫ p_0 log ψ_0.
        """
        _, w, eigenvalues, values = self.basis.tables()
        decay = np.exp(-0.5 * eigenvalues * self.total)
        phi0, psi0 = values.T @ self.d, values.T @ (decay * self.c)
        phi1, psi1 = values.T @ (decay * self.d), values.T @ self.c
        return float(w @ (phi1 * psi1 * np.log(psi1)) - w @ (phi0 * psi0 * np.log(psi0)))

    def sample(self, key: Key, t: float, n: int, dtype: DTypeLike | None = None) -> Array:
        """n exact draws of p_t, by rejection from the uniform law: vol·max p_t proposals each."""
        dtype = dtype or jnp.result_type(float)
        _, _, _, values = self.basis.tables()
        s = float(self.reference.schedule.s(jnp.asarray(t, dtype)))
        psi = values.T @ (self.c * np.exp(-0.5 * self.eigenvalues * (self.total - s)))
        phi = values.T @ (self.d * np.exp(-0.5 * self.eigenvalues * s))
        top = 1.05 * float((phi * psi).max())
        drawn: list[np.ndarray] = []
        batch = max(256, int(1.2 * n * top * self.manifold.volume))
        while sum(map(len, drawn)) < n:
            key, now = jax.random.split(key)
            points, p, u = _propose(self, jax.random.split(now, batch), jnp.asarray(t, dtype))
            if float(p.max()) > top:  # the maximum lies between nodes: start again
                top, drawn = 1.05 * float(p.max()), []
            drawn.append(np.asarray(points)[np.asarray(u * top < p)])
        return jnp.asarray(np.concatenate(drawn)[:n])

    def _evaluate(self, c: np.ndarray | Array, x: Point, left: Scalar) -> tuple[Scalar, Point]:
        """Value and gradient of Σ c_l e^{−λ_l left/2} B_l; the value at least its rounding."""
        damped = jnp.asarray(c, x.dtype) * jnp.exp(
            -0.5 * jnp.asarray(self.eigenvalues, x.dtype) * left
        )
        value, gradient = self.basis.evaluate(x, damped)
        size = jnp.sum(jnp.abs(damped) * jnp.asarray(self.basis.bounds(), x.dtype))
        return jnp.maximum(value, float(jnp.finfo(x.dtype).eps) * size), gradient


@eqx.filter_jit
def _log_prob(bridge: SpectralBridge, rows: Array, t: Scalar) -> Array:
    s = bridge.reference.schedule.s(t)
    return jax.vmap(lambda x: bridge.log_phi(x, s) + bridge.log_psi(x, s))(rows)


@eqx.filter_jit
def _propose(bridge: SpectralBridge, keys: Array, t: Scalar) -> tuple[Array, Array, Array]:
    def one(key: Key) -> tuple[Point, Scalar, Scalar]:
        first, second = jax.random.split(key)
        x = bridge.manifold.uniform(first, t.dtype)
        s = bridge.reference.schedule.s(t)
        p = jnp.exp(bridge.log_phi(x, s) + bridge.log_psi(x, s))
        return x, p, jax.random.uniform(second, (), t.dtype)

    return jax.vmap(one)(keys)


def _normalised(name: str, log_density: LogDensity, nodes: np.ndarray, w: np.ndarray) -> np.ndarray:
    values = np.asarray(log_density(nodes), np.float64)
    if values.shape != w.shape or not np.isfinite(values).all():
        raise ValueError(
            f"{name}: must give one finite number for each of the {len(w)} nodes it is called "
            f"with, got shape {values.shape}."
        )
    p = np.exp(values - values.max())
    return p / (w @ p)


def _positive(f: np.ndarray) -> np.ndarray:
    if not (f > 0).all():
        raise RuntimeError(
            "A potential is not positive to rounding: the clock is short beside the distance of "
            "the two laws, or degree is too small to resolve them. Use a longer clock, or "
            "sinkhorn on points."
        )
    return f
