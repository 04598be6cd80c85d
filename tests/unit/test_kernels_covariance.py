"""Covariance forms against dense linear algebra of NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.kernels import Cholesky, Diagonal, LowRankDiagonal

D, N = 5, 3
TOLERANCE = {"float64": 1e-12, "float32": 1e-5}


def make(form, dtype, floor=0.3):
    """N covariances with a floor, and the dense matrices that they stand for."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=(N, *shape))  # noqa: E731
    as_jax = lambda a: jnp.asarray(a, dtype)  # noqa: E731
    lower, basis, variances = np.tril(draw(D, D)), draw(D, 2), draw(D) ** 2 + 0.2
    if form == "cholesky":
        build, arrays, dense = Cholesky, [lower], lower @ lower.transpose(0, 2, 1)
    elif form == "diagonal":
        build, arrays, dense = Diagonal, [variances], variances[:, :, None] * np.eye(D)
    else:
        build, arrays = LowRankDiagonal, [basis, variances]
        dense = basis @ basis.transpose(0, 2, 1) + variances[:, :, None] * np.eye(D)
    made = eqx.filter_vmap(lambda *a: build(*a, floor))(*map(as_jax, arrays))
    return made, dense + floor**2 * np.eye(D)


@eqx.filter_jit
def everything(covariances, v, z, s):
    def one(c, v, z):
        free, given = [3, 0, 4], [2, 1]
        shift, rest = c.condition(free, given, v[:2])
        return {
            "solve": c.solve(v),
            "quadratic": c.quadratic(v),
            "log_det": c.log_det(),
            "trace_inverse": c.trace_inverse(),
            "largest": c.largest(),
            "dense": c.dense(),
            "draw": c.sqrt_apply(z),
            "root": jax.vmap(c.sqrt_apply)(jnp.eye(c.noise_dim, dtype=v.dtype)),
            "add": c.add(s).dense(),
            "add_solve": c.add(s).solve(v),
            "scaled": c.scaled(jnp.exp(v)).dense(),
            "marginal": c.marginal([4, 1]).dense(),
            "shift": shift,
            "rest": rest.dense(),
        }

    return eqx.filter_vmap(one)(covariances, v, z)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", ["cholesky", "diagonal", "low-rank"])
@pytest.mark.fault(35, "three forms against dense linear algebra")
def test_every_method_equals_dense_linear_algebra(form, dtype):
    """Oracle: numpy.linalg on the dense matrices in float64."""
    made, dense = make(form, dtype)
    rng = np.random.default_rng(1)
    v, z = rng.normal(size=(N, D)), rng.normal(size=(N, made.noise_dim))
    found = everything(made, jnp.asarray(v, dtype), jnp.asarray(z, dtype), jnp.asarray(0.7, dtype))
    eye, at = np.eye(D), np.ix_
    for i, m in enumerate(dense):
        f, g = [3, 0, 4], [2, 1]
        gain = m[at(f, g)] @ np.linalg.inv(m[at(g, g)])
        scale = np.diag(np.exp(v[i]))
        wanted = {
            "solve": np.linalg.solve(m, v[i]),
            "quadratic": v[i] @ np.linalg.solve(m, v[i]),
            "log_det": np.linalg.slogdet(m)[1],
            "trace_inverse": np.trace(np.linalg.inv(m)),
            "dense": m,
            "add": m + 0.7 * eye,
            "add_solve": np.linalg.solve(m + 0.7 * eye, v[i]),
            "scaled": scale @ m @ scale,
            "marginal": m[at([4, 1], [4, 1])],
            "shift": gain @ v[i][:2],
            "rest": m[at(f, f)] - gain @ m[at(g, f)],
        }
        for name, value in wanted.items():
            assert found[name].dtype == dtype
            np.testing.assert_allclose(
                found[name][i], value, rtol=TOLERANCE[dtype] * 10,
                atol=TOLERANCE[dtype] * (1 + np.abs(value).max()), err_msg=f"{form} {name}",
            )  # fmt: skip
        root = np.asarray(found["root"][i], np.float64)
        np.testing.assert_allclose(root.T @ root, m, atol=TOLERANCE[dtype] * np.abs(m).max())
        np.testing.assert_allclose(found["draw"][i], z[i] @ root, atol=20 * TOLERANCE[dtype])
        top = np.linalg.eigvalsh(m)[-1]
        assert float(found["largest"][i]) >= top * (1 - TOLERANCE[dtype])
        if form != "low-rank":
            np.testing.assert_allclose(found["largest"][i], top, rtol=TOLERANCE[dtype])


def test_low_rank_forms_no_square_matrix():
    """d = 20 000 would need 3.2 GB for one d × d matrix; Σ = uuᵀ + I has closed forms:
    log det = log(1 + |u|²), Σ⁻¹u = u/(1 + |u|²), tr Σ⁻¹ = d − |u|²/(1 + |u|²)."""
    d = 20_000
    u = jnp.full((d, 1), 0.01)
    c = LowRankDiagonal(u, jnp.ones(d))
    np.testing.assert_allclose(c.log_det(), np.log(3.0), rtol=1e-12)
    np.testing.assert_allclose(c.solve(u[:, 0]), u[:, 0] / 3.0, rtol=1e-10)
    np.testing.assert_allclose(c.trace_inverse(), d - 2.0 / 3.0, rtol=1e-12)


def test_gradient_through_the_floor_is_that_of_the_closed_form():
    """d/dL log det(LLᵀ + f²I) = 2(LLᵀ + f²I)⁻¹L, at L = 0 too (where it is 0)."""
    grad = jax.jit(jax.grad(lambda a: Cholesky(a, 0.5).log_det()))
    for a in (np.zeros((2, 2)), np.array([[1.0, 0.0], [0.4, -2.0]])):
        wanted = 2 * np.linalg.solve(a @ a.T + 0.25 * np.eye(2), a)
        np.testing.assert_allclose(grad(jnp.asarray(a)), wanted, atol=1e-12)
