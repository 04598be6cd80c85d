"""The multistep solver of likelihoods: weights, choice of steps, stiffness, fallback, gradients."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from scipy.integrate import quad

from scorefold.manifolds import Euclidean
from scorefold.noising import OrnsteinUhlenbeck
from scorefold.samplers import log_prob_ode, multistep_plan, solve_log_prob
from scorefold.samplers.clocks import PowerClock
from scorefold.samplers.multistep_plan import StepCount


def test_weights_integrate_the_decay_times_polynomials():
    """Each row against adaptive quadrature (SciPy): the integrand is ds/dτ e^{−s}/√s times the
    highest power of τ that the rule claims, over one step or all of them."""
    s_min, s_max, steps, c, rate = 1e-4, 5.0, 36, 0.5, 1.0
    clock = PowerClock(c)
    plan = multistep_plan.make_plan(s_min, s_max, steps, clock, rate)
    visits = np.concatenate([[0], np.arange(2, steps + 2)])
    tau = (-np.expm1(-c * plan.s[visits]) / c) ** 0.125
    size = functools.partial(multistep_plan._size, clock=clock, decay=rate)
    f = lambda t, k: size(np.atleast_1d(t)) * t**k  # noqa: E731
    exact = lambda a, b, k: quad(lambda t: f(t, k)[0], a, b, epsabs=0, epsrel=1e-12)[0]  # noqa: E731
    for n in (5, 20, steps):
        step = exact(tau[n - 1], tau[n], 4)
        predictor, corrector = plan.predictor[visits[n]], plan.corrector[visits[n]]
        np.testing.assert_allclose(predictor @ f(tau[n - 5 : n], 4), step, rtol=1e-9)
        np.testing.assert_allclose(corrector @ f(tau[n - 4 : n + 1], 4), step, rtol=1e-9)
    whole = [exact(tau[0], tau[-1], k) for k in (5, 3)]
    q = plan.quadrature[visits]
    np.testing.assert_allclose([q[:, 0] @ f(tau, 5), q[:, 1] @ f(tau, 3)], whole, rtol=1e-9)
    assert not plan.quadrature[1].any() and plan.first.sum() == 1


def test_choice_of_steps():
    """36 at 1e-5; an error twice the bound of 100 tolerances asks for 36·1.1·2^{1/5} = 45.5."""
    count = StepCount.first(1e-5, 512)
    assert count.steps == 36 and count.bound == pytest.approx(1e-3)
    assert count.raised(2e-3).steps == 46
    assert count.raised(float("nan")) is None
    assert StepCount.first(1e-3, 512).steps == 24
    for tolerance, most in ((1e-6, 512), (1e-2, 512), (1e-5, 3), (0.0, 512)):
        assert StepCount.first(tolerance, most) is None


class Contraction(eqx.Module):
    """The score with which the flow is dx/ds = −a x."""

    a: Array

    def __call__(self, x, s):
        return (2.0 * self.a - 1.0) * x


NOISING = OrnsteinUhlenbeck(Euclidean(2))
OPTIONS = {"s_min": 0.1, "s_max": 5.0}
X = jnp.asarray([[0.3, -1.0], [2.0, 0.5], [0.0, 0.7]])


def exact(a, x):
    """log N(x e^{−4.9 a}; 0, 1) − 2·4.9·a."""
    return -0.5 * jnp.sum(x * x, axis=-1) * jnp.exp(-9.8 * a) - jnp.log(2 * jnp.pi) - 9.8 * a


@pytest.mark.parametrize("a", [0.4, 1.5])
def test_contractions_against_the_closed_form(a):
    """a = 1.5 times the longest step, 0.28, is beyond explicit Adams methods of order 5."""
    found = solve_log_prob(NOISING, Contraction(jnp.asarray(a)), X, **OPTIONS)
    assert set(np.asarray(found.nfe)) == {38} and float(found.error[0]) < 1e-3
    np.testing.assert_allclose(found.log_prob, exact(a, X), atol=1e-3, rtol=0)


def test_what_the_grid_cannot_resolve_is_solved_adaptively():
    """a = 100 defeats the grid: the result is that of the adaptive solver, whose evaluations (six
    a step, one at the start) come on top."""
    score = Contraction(jnp.asarray(100.0))
    options = {**OPTIONS, "max_steps": 2048}
    found = solve_log_prob(NOISING, score, X, **options)
    adaptive = solve_log_prob(NOISING, score, X, solver="adaptive", **options)
    np.testing.assert_array_equal(found.log_prob, adaptive.log_prob)
    assert int(adaptive.nfe[0]) % 6 == 1 and np.isnan(found.error).all()
    assert int(found.nfe[0]) >= int(adaptive.nfe[0]) + 38


@pytest.mark.slow
def test_gradients_are_those_of_the_adaptive_solver():
    """d log p/da = 4.9 |x|² e^{−9.8 a} − 9.8, also for a score that closes over a traced value."""
    closed = lambda a: log_prob_ode(  # noqa: E731
        NOISING, lambda x, s: Contraction(a)(x, s), X, **OPTIONS
    ).sum()
    found = jax.grad(closed)(jnp.asarray(0.2))
    squares = np.sum(np.asarray(X) ** 2, axis=1)
    np.testing.assert_allclose(found, np.sum(4.9 * squares * np.exp(-1.96) - 9.8), atol=1e-3)
