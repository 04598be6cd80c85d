"""Parts of the proximal room: the box, the metric, finite derivatives, what the room imports."""

import ast
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold.proximal as room
from scorefold.proximal import (
    AbsoluteValue,
    LogKernel,
    PeriodicBox,
    Preconditioner,
    Smooth,
    Spectral,
)


def test_the_room_imports_what_lies_below_it():
    allowed = {"_pickle", "_types", "heat", "kernels", "manifolds", "samplers", "proximal"}
    for file in Path(room.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            module = getattr(node, "module", None) if isinstance(node, ast.ImportFrom) else None
            if module and module.startswith("scorefold."):
                assert module.split(".")[1] in allowed, (file.name, module)


def test_integrals_and_divergences_on_a_box():
    """∫ sin²(x) sin²(y/2) over [0, 2π) × [0, 4π) is 2π²; KL of two normal laws of variance v and w
    is ½(v/w − 1 − log(v/w)); both by the trapezoid rule to rounding."""
    box = PeriodicBox((0.0, 0.0), (2 * math.pi, 4 * math.pi), (8, 12))
    x = box.points(jnp.float64)
    assert x.shape == (8, 12, 2)
    wave = jnp.sin(x[..., 0]) ** 2 * jnp.sin(0.5 * x[..., 1]) ** 2
    np.testing.assert_allclose(box.integral(wave), 2 * math.pi**2, rtol=1e-14)

    line = PeriodicBox((-15.0,), (30.0,), (200,))
    r = line.points(jnp.float64)[:, 0]
    p, q = (line.normalised(-0.5 * r * r / v) for v in (0.5, 0.8))
    np.testing.assert_allclose(line.integral(jnp.exp(p)), 1.0, rtol=1e-14)
    np.testing.assert_allclose(p[100], -0.5 * math.log(math.pi), rtol=1e-12)
    ratio = 0.5 / 0.8
    np.testing.assert_allclose(line.kl(p, q), 0.5 * (ratio - 1 - math.log(ratio)), rtol=1e-12)
    # Where p is 0 in floating point nothing is added, whatever q is there.
    gone = jnp.where(jnp.abs(r) > 10, -jnp.inf, p)
    cut = line.kl(gone, jnp.where(jnp.abs(r) > 10, -jnp.inf, q))
    np.testing.assert_allclose(cut, line.kl(p, q), rtol=1e-12)


def test_algebra_of_the_preconditioner():
    M = np.array([[0.8, -0.3], [-0.3, 0.5]])
    v = jnp.asarray([1.2, -0.7])
    metric = Preconditioner(M)
    np.testing.assert_allclose(metric.matrix(v), M, rtol=1e-14)
    np.testing.assert_allclose(metric.inverse(v), np.linalg.inv(M), rtol=1e-13)
    np.testing.assert_allclose(metric.apply(v), M @ np.asarray(v), rtol=1e-14)
    np.testing.assert_allclose(metric.log_det(v), np.log(np.linalg.det(M)), rtol=1e-13)
    np.testing.assert_allclose(metric.squared(v), v @ np.linalg.solve(M, v), rtol=1e-13)
    np.testing.assert_allclose(metric.colour(metric.whiten(v)), v, rtol=1e-13)
    assert metric.squared(v.astype(jnp.float32)).dtype == jnp.float32
    np.testing.assert_array_equal(Preconditioner().matrix(v), np.eye(2))


@pytest.mark.slow
def test_derivatives_are_finite_at_the_ends():
    """At s = 0 the heat flow is the identity, and so is its derivative in f; below the floor of
    the Fourier transform and at the kink of |x| derivatives are 0 or ordinary numbers."""
    box = PeriodicBox((-20.0,), (40.0,), (32,))
    steep = -0.5 * box.points(jnp.float64)[:, 0] ** 2 / 0.1
    for calculus in (Spectral(box), LogKernel(box)):
        total = lambda f, s, c=calculus: jnp.sum(c.log_heat(f, s))  # noqa: E731
        whole = jax.jit(
            jax.grad(total, (0, 1)), compiler_options={"xla_backend_optimization_level": 0}
        )
        by_f, by_s = whole(steep, jnp.asarray(0.0))
        np.testing.assert_array_equal(by_f, jnp.ones(32))
        assert np.isfinite(by_s)
        for part in whole(steep, jnp.asarray(0.5)):
            assert np.all(np.isfinite(part))
    value, metric = AbsoluteValue(2.0), Preconditioner()
    at_zero = jnp.zeros(2)
    np.testing.assert_array_equal(jax.grad(value)(at_zero), at_zero)
    slope = jax.jacobian(lambda y: value.prox(y, 0.1, metric))
    np.testing.assert_array_equal(slope(at_zero), np.zeros((2, 2)))
    np.testing.assert_array_equal(slope(jnp.asarray([1.0, -1.0])), np.eye(2))
    normaliser = jax.grad(lambda y: value.log_normaliser(y, 0.1, 0.3, metric))
    np.testing.assert_allclose(normaliser(at_zero), at_zero, atol=1e-15)
    far = normaliser(jnp.asarray([50.0, -50.0]))  # −λ sign(y)/2β far from the kink
    np.testing.assert_allclose(far, [-2.0 / 0.6, 2.0 / 0.6], rtol=1e-12)


def fourth_power(x):
    return 0.25 * jnp.sum(x**4)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_all_derivatives_of_a_smooth_prox(dtype, tolerance):
    """z + τz³ = y has z′ = 1/(1 + 3τz²) and z″ = −6τz z′³, forward and backward."""
    smooth, metric, tau = Smooth(fourth_power), Preconditioner(), 0.7
    one = lambda y: smooth.prox(y[None], tau, metric)[0]  # noqa: E731
    y = jnp.asarray(1.3, dtype)
    z = one(y)
    np.testing.assert_allclose(z + tau * z**3, y, rtol=tolerance)
    first = 1 / (1 + 3 * tau * z**2)
    for outer, inner in ((jax.jacfwd, jax.jacfwd), (jax.grad, jax.grad), (jax.jacfwd, jax.grad)):
        np.testing.assert_allclose(inner(one)(y), first, rtol=tolerance)
        second = jax.jit(outer(inner(one)))(y)
        np.testing.assert_allclose(second, -6 * tau * z * first**3, rtol=tolerance)
