"""Spectral bridges: marginals, the heat kernels, finite differences, walks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.bridges import SpectralBridge, brownian_reference
from scorefold.manifolds import SO3, Euclidean, Sphere, Torus
from scorefold.noising import OrnsteinUhlenbeck

AXIS = np.array([0.6, 0.0, 0.8])
TURN = np.asarray(SO3().from_axis_angle([1.0, 2.0, -1.0], 0.7, degrees=False))


def ripple(angles):
    return 0.8 * np.cos(angles[:, 0] - 0.5 * np.sin(angles[:, -1]))


# manifold, variance, log p_0, log p_1, degree, centre
CASES = {
    "S^2": (Sphere(2), 0.8, lambda z: 3 * z, lambda z: -2 * z, 48, AXIS),
    "S^3": (Sphere(3), 0.8, lambda z: 2 * z, lambda z: z**2 - z, 40, None),
    "SO(3)": (SO3(), 0.8, lambda w: 2 * np.cos(w), lambda w: -np.cos(w), 40, TURN),
    "T^1": (Torus(1), 1.0, ripple, lambda x: -2 * np.cos(x[:, 0] - 1), 64, None),
    "T^2": (Torus(2), 1.2, ripple, lambda x: 0.6 * np.cos(x).sum(1), 14, None),
}


def build(name):
    manifold, variance, log_p0, log_p1, degree, centre = CASES[name]
    reference = brownian_reference(manifold, variance)
    return SpectralBridge(reference, log_p0, log_p1, degree=degree, centre=centre)


def quick(function):
    """Compiled without optimisation: run once."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def bridges():
    made = {}

    def get(name):
        if name not in made:
            made[name] = build(name)
        return made[name]

    return get


@pytest.mark.parametrize("name", CASES)
def test_marginals(bridges, name):
    """Residual ≤ 1e-12, coefficients that have died out (1e-9); at five levels laws positive at
    the nodes and of mass 1 to 1e-12."""
    bridge = bridges(name)
    _, w, eigenvalues, values = bridge.basis.tables()
    assert bridge.residual <= 1e-12 and bridge.tail < 1e-9
    assert np.abs((values * w) @ values.T - np.eye(len(w))).max() < 1e-12
    for share in (0.0, 0.2, 0.5, 0.8, 1.0):
        s = share * bridge.total
        psi = values.T @ (bridge.c * np.exp(-0.5 * eigenvalues * (bridge.total - s)))
        phi = values.T @ (bridge.d * np.exp(-0.5 * eigenvalues * s))
        assert (phi * psi > 0).all() and w @ (phi * psi) == pytest.approx(1.0, abs=1e-12)


def points(bridge, n=5, seed=0):
    keys = jax.random.split(jax.random.key(seed), n)
    return jax.vmap(lambda k: bridge.manifold.uniform(k, jnp.float64))(keys)


def sphere_rule(n):
    """Gauss–Legendre by equally spaced longitudes on S^2."""
    z, w = np.polynomial.legendre.leggauss(n)
    lam = 2 * np.pi * np.arange(2 * n) / (2 * n)
    r = np.sqrt(1 - z**2)
    x = np.stack(
        [np.outer(r, np.cos(lam)), np.outer(r, np.sin(lam)), np.outer(z, np.ones_like(lam))], -1
    )
    return x.reshape(-1, 3), np.repeat(w * np.pi / n, 2 * n)


def rotation_rule(n):
    """Euler angles ZYZ: equally spaced, Gauss–Legendre in cos β; volume 8π²."""
    z, w = np.polynomial.legendre.leggauss(n // 2)
    turn = 2 * np.pi * np.arange(n) / n
    a, b, c = np.meshgrid(turn, np.arccos(z), turn, indexing="ij")
    angles = np.stack([a, b, c], -1).reshape(-1, 3)
    weights = np.broadcast_to(w[None, :, None], a.shape).ravel() * (2 * np.pi / n) ** 2
    return np.asarray(SO3().from_euler(angles, convention="ZYZ", degrees=False)), weights


def circle_rule(n):
    return -np.pi + 2 * np.pi * np.arange(n)[:, None] / n, np.full(n, 2 * np.pi / n)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("S^2", lambda: sphere_rule(30)),
        ("SO(3)", lambda: rotation_rule(28)),
        ("T^1", lambda: circle_rule(64)),
    ],
)
def test_potentials_follow_the_heat_kernel(bridges, name, rule):
    """ψ_s(x) = ∫ p_u(y | x) ψ_{s+u}(y) dy, u = 0.4, and the same for φ, with the library's heat
    kernel and a product quadrature: relative 1e-9 at random points. p_t has mass 1 by it."""
    bridge, u = bridges(name), 0.4
    y, w = rule()
    y, x, total = jnp.asarray(y), points(bridge), bridge.total

    @quick
    def compare(x, y):
        heat = jax.vmap(lambda a: jax.vmap(lambda b: bridge.manifold.heat.log_prob(b, a, u))(y))(x)
        out = []
        for f, here, there in ((bridge.log_psi, total - u, total), (bridge.log_phi, u, 0.0)):
            at = jax.vmap(lambda p, f=f, s=there: f(p, jnp.asarray(s)))(y)
            mine = jax.vmap(lambda p, f=f, s=here: f(p, jnp.asarray(s)))(x)
            out.append((mine, jnp.exp(heat + at[None, :])))
        return out

    for mine, integrand in compare(x, y):
        truth = np.asarray(integrand) @ w
        assert np.abs(np.exp(np.asarray(mine)) / truth - 1).max() < 1e-9
    assert w @ np.exp(np.asarray(bridge.log_prob(0.5, y))) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("name", ["S^2", "SO(3)", "T^2"])
def test_drifts_are_gradients(bridges, name):
    """Along random tangent vectors, against central differences of log ψ and log φ through the
    exponential map with h = 1e-4, whose own error is O(h²): 1e-6."""
    bridge, h = bridges(name), 1e-4
    manifold, s = bridge.manifold, jnp.asarray(0.4 * bridge.total)

    @quick
    @jax.vmap
    def errors(x, key):
        v = manifold.normal(key, x)
        out = []
        for f, g in ((bridge.log_psi, bridge.forward), (bridge.log_phi, bridge.backward)):
            ahead, behind = f(manifold.exp(x, h * v), s), f(manifold.exp(x, -h * v), s)
            out.append(manifold.inner(x, g(x, s), v) - (ahead - behind) / (2 * h))
        return jnp.stack(out)

    x = points(bridge)
    assert float(jnp.abs(errors(x, jax.random.split(jax.random.key(1), len(x)))).max()) < 1e-6


def test_ends_are_the_laws_asked_for(bridges):
    """On S^2 at points off the nodes: log p_0 − 3z and log p_1 + 2z are the constants
    log(κ/(4π sinh κ)), 1e-9."""
    bridge, (x, _) = bridges("S^2"), sphere_rule(30)
    for t, kappa in ((0.0, 3.0), (1.0, -2.0)):
        constant = np.log(kappa / (4 * np.pi * np.sinh(kappa)))
        assert (
            np.abs(np.asarray(bridge.log_prob(t, x)) - kappa * (x @ AXIS) - constant).max() < 1e-9
        )


def test_relative_entropy_is_the_control_energy(bridges):
    """½ ∫∫ p_s |∇ log ψ_s|² by Gauss–Legendre in s and in z on S^2, relative 1e-8. The law of
    X_S given one x₀ has mass 1 and the mean of ``coupling`` at its z, 1e-7 (interpolated)."""
    bridge = bridges("S^2")
    z, w, eigenvalues, values = bridge.basis.tables()
    derivative = np.stack(
        [
            np.polynomial.legendre.legval(z, np.polynomial.legendre.legder(row))
            for row in np.diag(np.sqrt((2 * np.arange(len(z)) + 1) / (4 * np.pi)))
        ]
    )
    at, weights = np.polynomial.legendre.leggauss(40)
    energy = 0.0
    for s, h in zip(0.4 * (at + 1), 0.4 * weights, strict=True):
        c = bridge.c * np.exp(-0.5 * eigenvalues * (0.8 - s))
        phi = values.T @ (bridge.d * np.exp(-0.5 * eigenvalues * s))
        energy += 0.5 * h * w @ (phi * (1 - z**2) * (derivative.T @ c) ** 2 / (values.T @ c))
    assert bridge.relative_entropy() == pytest.approx(energy, rel=1e-8)

    y, v = sphere_rule(30)
    x0 = np.broadcast_to(np.array([0.0, 0.6, 0.8]), y.shape)
    p = v * np.exp(np.asarray(bridge.conditional_log_prob(y, x0)))
    assert p.sum() == pytest.approx(1.0, abs=1e-9)
    nodes, masses = bridge.coupling()
    mean = (masses @ nodes) / masses.sum(1)  # E[z_S | z_0], a smooth function of z_0
    there = np.polynomial.legendre.legfit(nodes, mean, 24)
    truth = np.polynomial.legendre.legval(0.8 * 0.8, there)
    assert p @ (y @ AXIS) == pytest.approx(truth, abs=1e-7)
    ends = np.stack([masses.sum(1), masses.sum(0)]) @ nodes
    expected = [1 / np.tanh(3.0) - 1 / 3, 0.5 - 1 / np.tanh(2.0)]
    assert np.abs(ends - expected).max() < 1e-12


def cdf_of_exponential(kappa):
    """Distribution of z under e^{κz} on the sphere."""
    return lambda z: np.expm1(kappa * (np.asarray(z) + 1)) / np.expm1(2 * kappa)


def test_walks_from_end_to_end(bridges):
    """4000 exact draws of p_0, walked forward in 60 steps, have the law of p_1, and back: the
    Kolmogorov–Smirnov distance of z is below 1.95/√n (level 0.001) plus 0.5/steps for each walk.
    The scheme has weak order 1: 20,000 points gave 0.046, 0.022 and 0.013 with 10, 20 and 40."""
    from scipy.stats import kstest

    bridge, n, steps = bridges("S^2"), 4000, 60
    start = bridge.sample(jax.random.key(0), 0.0, n)
    end = bridge.sample_forward(jax.random.key(1), start, steps=steps)
    back = bridge.sample_backward(jax.random.key(2), end, steps=steps)
    bound = 1.95 / np.sqrt(n)
    for x, kappa, allowance in (
        (start, 3.0, 0.0),
        (end, -2.0, 0.5 / steps),
        (back, 3.0, 1 / steps),
    ):
        distance = kstest(np.asarray(x) @ AXIS, cdf_of_exponential(kappa)).statistic
        assert distance < bound + allowance


def test_float32_points(bridges):
    """Gradients of float32 points within 1e-4 of those of float64 (size up to 3)."""
    bridge = bridges("S^2")
    x = points(bridge)
    both = quick(jax.vmap(lambda y, s: (bridge.forward(y, s), bridge.backward(y, s)), (0, None)))
    fine = both(x, jnp.asarray(0.2))
    coarse = both(x.astype(jnp.float32), jnp.asarray(0.2, jnp.float32))
    for a, b in zip(fine, coarse, strict=True):
        assert b.dtype == jnp.float32 and np.abs(np.asarray(a) - np.asarray(b)).max() < 1e-4


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="reference: must be Brownian motion"):
        SpectralBridge(OrnsteinUhlenbeck(2), np.sin, np.sin)
    with pytest.raises(ValueError, match=r"no spectral bridge on R\^2"):
        SpectralBridge(brownian_reference(Euclidean(2), 1.0), np.sin, np.sin)
    with pytest.raises(ValueError, match=r"log_p0: must give one finite number for each"):
        SpectralBridge(brownian_reference(Torus(2), 1.0), np.sin, np.sin, degree=3)
    with pytest.raises(RuntimeError, match="not positive to rounding"):
        SpectralBridge(brownian_reference(Sphere(2), 0.01), lambda z: 60 * z, lambda z: -60 * z)
