"""The mean-field game of the regularised proximal operator on a grid, against closed forms.

On the torus of length 2π choose η(x, τ) = Π_i (1 + ε cos x_i) and ρ₀ ∝ η(·, 0)·Π_i (1 + δ sin(x_i +
0.3)). The heat flow with generator γΔ multiplies each wave by e^{−γt}, so that

    η(x, t) = Π_i (1 + ε e^{−γ(τ−t)} cos x_i),    U = −2γ log η,
    ρ(x, t) ∝ η(x, t)·Π_i (1 + δ e^{−γt} sin(x_i + 0.3))

solve both equations exactly.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.proximal import (
    AbsoluteValue,
    FiniteDifference,
    LogKernel,
    MeanFieldGame,
    PeriodicBox,
    Spectral,
    moreau_envelope,
    wasserstein_prox,
)

TAU, GAMMA, EPS, DELTA = 0.7, 0.5, 0.6, 0.4


class Waves:
    """The closed-form solution on n nodes per axis."""

    def __init__(self, dim, n, dtype=jnp.float64):
        self.box = PeriodicBox((0.0,) * dim, (2.0 * math.pi,) * dim, (n,) * dim)
        self.x = np.asarray(self.box.points(jnp.float64))
        self.dtype = dtype

    def eta(self, t):
        decay = math.exp(-GAMMA * (TAU - t))
        return np.prod(1.0 + EPS * decay * np.cos(self.x), axis=-1)

    def psi(self, t):
        decay = math.exp(-GAMMA * t)
        return np.prod(1.0 + DELTA * decay * np.sin(self.x + 0.3), axis=-1)

    def U(self, t):
        return jnp.asarray(-2.0 * GAMMA * np.log(self.eta(t)), self.dtype)

    def log_rho(self, t):
        mass = np.sum(self.eta(0.0) * self.psi(0.0)) * self.box.cell
        return jnp.asarray(np.log(self.eta(t) * self.psi(t) / mass), self.dtype)

    def game(self, calculus):
        return MeanFieldGame(calculus, self.U(TAU), self.log_rho(0.0), tau=TAU, gamma=GAMMA)


@eqx.filter_jit
def state(game, t):
    return game.potential(t), game.log_density(t), game.velocity(t), game.residuals(t)


@eqx.filter_jit
def ends(game):
    return (
        game.potential(0.0), game.velocity(0.0), game.log_density(0.0),
        game.potential(TAU), game.log_density(TAU),
    )  # fmt: skip


@eqx.filter_jit
def energies(game):
    return game.value(), game.dual_value(), game.kinetic_energy()


@pytest.mark.parametrize(
    "calculus, dim, n", [(Spectral, 1, 64), (Spectral, 2, 48), (LogKernel, 2, 48)]
)
def test_cole_hopf_solves_both_equations(calculus, dim, n):
    waves = Waves(dim, n)
    game = waves.game(calculus(waves.box))
    slope = -np.stack(
        [2 * GAMMA * EPS * math.exp(-GAMMA * (TAU - 0.3)) * np.sin(waves.x[..., i])
         / (1 + EPS * math.exp(-GAMMA * (TAU - 0.3)) * np.cos(waves.x[..., i]))
         for i in range(dim)], axis=-1)  # fmt: skip
    U, log_rho, v, residuals = state(game, jnp.asarray(0.3))
    np.testing.assert_allclose(U, waves.U(0.3), rtol=0, atol=1e-13)
    np.testing.assert_allclose(log_rho, waves.log_rho(0.3), rtol=0, atol=1e-13)
    np.testing.assert_allclose(v, slope, rtol=0, atol=1e-10)
    assert float(jnp.max(jnp.abs(residuals.hjb))) <= 1e-10
    assert float(jnp.max(jnp.abs(residuals.fokker_planck))) <= 1e-10
    # Both ends: U = V at t = τ and ρ = ρ₀ at t = 0 without any loss.
    U_first, _, first, U_last, last = ends(game)
    np.testing.assert_allclose(U_first, waves.U(0.0), rtol=0, atol=1e-13)
    np.testing.assert_allclose(U_last, waves.U(TAU), rtol=0, atol=4e-16)
    np.testing.assert_allclose(first, waves.log_rho(0.0), rtol=0, atol=4e-15)
    np.testing.assert_allclose(last, waves.log_rho(TAU), rtol=0, atol=1e-13)


@pytest.mark.parametrize("calculus", [Spectral, LogKernel])
def test_single_precision(calculus):
    """Rounding of float32, some units in the last place, in U and log ρ."""
    waves = Waves(1, 64, jnp.float32)
    U, log_rho, v, residuals = state(waves.game(calculus(waves.box)), jnp.asarray(0.3, jnp.float32))
    for found in (U, log_rho, v, residuals.hjb):
        assert found.dtype == jnp.float32
    atol = 1e-3 if calculus is FiniteDifference else 2e-6
    np.testing.assert_allclose(U, waves.U(0.3), rtol=0, atol=atol)
    np.testing.assert_allclose(log_rho, waves.log_rho(0.3), rtol=0, atol=atol)


@pytest.mark.parametrize("dim, sizes", [(1, (64, 128)), (2, (16, 32))])
def test_finite_differences_have_order_two(dim, sizes):
    """Errors in U(·, 0), ρ_τ and v fall by 4 with half the spacing, within 0.5."""
    errors = []
    for n in sizes:
        waves = Waves(dim, n)
        game = waves.game(FiniteDifference(waves.box))
        exact = Spectral(waves.box).gradient(waves.U(0.0))
        U, v, _, _, log_rho = ends(game)
        gaps = U - waves.U(0.0), log_rho - waves.log_rho(TAU), v + exact
        errors.append([np.max(np.abs(gap)) for gap in gaps])
    np.testing.assert_allclose(np.divide(*errors), 4.0, atol=0.5)


def test_strong_duality_and_optimality():
    """∫ V ρ_τ + kinetic energy, by quadrature in time, is ∫ U(·, 0) ρ₀; any other flow, here those
    of other potentials, costs more."""
    waves = Waves(2, 32)
    game = waves.game(Spectral(waves.box))
    primal, dual, kinetic = map(float, energies(game))
    assert abs(primal - dual) <= 1e-12
    assert kinetic > 0.02
    for factor in (0.8, 1.1):
        other = MeanFieldGame(game.calculus, factor * game.V, game.log_rho0, tau=TAU, gamma=GAMMA)
        assert float(eqx.filter_jit(other.value)(game.V)) > dual + 1e-5


def test_relative_accuracy_of_the_log_kernel():
    """G_s * N(0, v) = N(0, v + s): to 1e-12 of its log where it is e^{−500}, a Fourier transform
    knows nothing below 1e-16 of the largest value, and says so by a floor."""
    box, v, s = PeriodicBox((-20.0,), (40.0,), (256,)), 0.3, 0.1
    x = box.points(jnp.float64)[:, 0]

    def normal(variance):
        return -0.5 * x * x / variance - 0.5 * math.log(2 * math.pi * variance)

    inside = np.abs(np.asarray(x)) < 19
    exact = np.asarray(normal(v + s))[inside]
    found = np.asarray(LogKernel(box).log_heat(normal(v), s))[inside]
    assert exact.min() < -440
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-12)
    floored = np.asarray(Spectral(box).log_heat(normal(v), s))[inside]
    high = exact > -25
    np.testing.assert_allclose(floored[high], exact[high], rtol=0, atol=1e-5)
    assert np.all(floored[~high] > -36)


def test_small_viscosity_gives_the_moreau_envelope():
    """U(y, 0) for V = |x| tends to the Huber function as γ → 0: the gap is at most
    2γ(1 + |log γ|) and falls; for V = ax²/2 it is ay²/2(1 + aτ) + γ log(1 + aτ) at every γ."""
    box = PeriodicBox((-6.0,), (12.0,), (384,))
    x, tau = box.points(jnp.float64)[:, 0], 0.8
    inside = np.abs(np.asarray(x)) < 3
    absolute = jax.jit(jax.vmap(lambda y: moreau_envelope(AbsoluteValue(), y, tau)))(x[:, None])
    huber = np.where(np.abs(x) < tau, np.asarray(x) ** 2 / (2 * tau), np.abs(x) - tau / 2)
    np.testing.assert_allclose(absolute, huber, rtol=0, atol=1e-14)

    @jax.jit
    def U(V, gamma):
        # γ as an array: one program for all.
        return -2.0 * gamma * LogKernel(box).log_heat(-V / (2.0 * gamma), 2.0 * gamma * tau)

    gaps = []
    for gamma in (0.1, 0.05, 0.025):
        found = np.asarray(U(jnp.abs(x), jnp.asarray(gamma)))
        gaps.append(np.max(np.abs(found - huber)[inside]))
        assert gaps[-1] < 2 * gamma * (1 + abs(math.log(gamma)))
        a = 1.3
        exact = a * x * x / (2 * (1 + a * tau)) + gamma * math.log1p(a * tau)
        found = np.asarray(U(0.5 * a * x * x, jnp.asarray(gamma)))
        np.testing.assert_allclose(found[inside], exact[inside], rtol=0, atol=1e-8)
    assert gaps[0] > 1.5 * gaps[1] > 2.25 * gaps[2]


def test_the_operator_is_the_end_of_the_game():
    waves = Waves(1, 64)
    c = Spectral(waves.box)
    end = wasserstein_prox(c, waves.U(TAU), waves.log_rho(0.0), tau=TAU, gamma=GAMMA)
    np.testing.assert_allclose(end, waves.log_rho(TAU), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(tau=0.0), "tau must be a positive"),
        (dict(gamma=math.inf), "gamma must be a positive"),
        (dict(potential=jnp.zeros(7)), "potential has shape"),
        (dict(log_rho0=jnp.full(64, jnp.nan)), "log_rho0 is NaN at 64 nodes"),
    ],
)
def test_bad_arguments_are_named(change, message):
    waves = Waves(1, 64)
    good = dict(potential=waves.U(TAU), log_rho0=waves.log_rho(0.0), tau=TAU, gamma=GAMMA)
    with pytest.raises(ValueError, match=message):
        wasserstein_prox(Spectral(waves.box), **(good | change))


def test_times_outside_the_game_and_bad_boxes_are_refused():
    waves = Waves(1, 64)
    with pytest.raises(ValueError, match=r"t must lie in \[0, tau\]"):
        waves.game(Spectral(waves.box)).potential(0.8)
    with pytest.raises(ValueError, match="at least 4 nodes"):
        PeriodicBox((0.0,), (1.0,), (3,))
    with pytest.raises(ValueError, match=r"length\[1\] must be a positive"):
        PeriodicBox((0.0, 0.0), (1.0, -1.0), (8, 8))
    with pytest.raises(ValueError, match="one number per axis"):
        PeriodicBox((0.0,), (1.0, 2.0), (8, 8))
    with pytest.raises(ValueError, match="courant"):
        FiniteDifference(waves.box, 1.5)
