"""Bridges with a mixture potential: against quadrature on the line, moments of exact draws, and
the bridge of normal laws; the benchmark pairs and their metric."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.bridges import (
    GaussianBridge,
    MixturePotential,
    MixturePotentialBridge,
    brownian_reference,
    mixture_pair,
)
from scorefold.manifolds import Euclidean
from scorefold.metrics import bures_wasserstein, conditional_bures
from scorefold.noising import Linear, OrnsteinUhlenbeck

LINE = np.linspace(-9.0, 9.0, 721)
H = LINE[1] - LINE[0]


@pytest.fixture(scope="module", params=["brownian", "ornstein"])
def line(request):
    reference = {
        "brownian": brownian_reference(Euclidean(1), 0.7),
        "ornstein": OrnsteinUhlenbeck(1, Linear(0.1, 1.4), location=np.array([0.4]), std=1.3),
    }[request.param]
    psi = MixturePotential(np.log([0.2, 0.5]), [[-1.5], [1.0]], [[[0.3]], [[0.1]]])
    phi = MixturePotential(
        np.log([0.6, 0.3, 0.4]), [[-1.0], [0.5], [2.0]], [[[0.2]], [[0.4]], [[0.1]]]
    )
    return MixturePotentialBridge(reference, psi, phi=phi)


def normal(x, mean, variance):
    return np.exp(-0.5 * (x - mean) ** 2 / variance) / np.sqrt(2 * np.pi * variance)


def quick(function):
    """Compiled without optimisation: run once."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def kernel(reference, s):
    """p_s(y | x) on the grid, entry [x, y], from the moments in the literature."""
    if isinstance(reference, OrnsteinUhlenbeck):
        m, v = np.exp(-0.5 * s / 1.3**2), 1.3**2 * (1 - np.exp(-s / 1.3**2))
        return normal(LINE[None], 0.4 + m * (LINE[:, None] - 0.4), v)
    return normal(LINE[None], LINE[:, None], s)


def values(potential):
    parts = zip(potential.log_weights, potential.means, potential.covs, strict=True)
    return sum(np.exp(w) * normal(LINE, m[0], c[0, 0]) for w, m, c in parts)


def quadrature(bridge, share):
    """φ_s and ψ_s by sums over the grid (exact to rounding for such functions)."""
    s = share * bridge.total
    back = H * kernel(bridge.reference, bridge.total - s) @ values(bridge.psi)
    ahead = H * values(bridge.phi) @ kernel(bridge.reference, s) if s > 0 else values(bridge.phi)
    return ahead, back


def test_potentials_laws_and_drifts_on_the_line(line):
    """φ_s, ψ_s and p_s against quadrature, relative 1e-9 inside; mass 1; gradients against central
    differences of the quadrature in 5-point form, 1e-5."""
    truths = quadrature(line, 0.35)
    inside = slice(200, 520)
    x, s = jnp.asarray(LINE)[:, None], jnp.asarray(0.35 * line.total)
    functions = (line.log_phi, line.log_psi, line.backward, line.forward)
    every = quick(jax.vmap(lambda y, s: [f(y, s) for f in functions], (0, None)))
    out = every(x, s)
    for fine, coarse in zip(out, every(x.astype(jnp.float32), s.astype(jnp.float32)), strict=True):
        assert coarse.dtype == jnp.float32
        assert np.abs(np.asarray(fine) - np.asarray(coarse))[inside].max() < 1e-4
    for truth, log_value, gradient in zip(truths, out[:2], out[2:], strict=True):
        assert np.abs(np.exp(np.asarray(log_value)) / truth - 1)[inside].max() < 1e-9
        f = np.log(truth)
        slope = (8 * (f[3:-1] - f[1:-3]) - (f[4:] - f[:-4])) / (12 * H)
        assert np.abs(np.asarray(gradient)[2:-2, 0] - slope)[inside].max() < 1e-5
    t = float(line.reference.schedule.t(s))
    p = np.exp(np.asarray(line.log_prob(t, np.asarray(x))))
    assert H * p.sum() == pytest.approx(1.0, abs=1e-10)
    assert np.abs(p - truths[0] * truths[1]).max() < 1e-10


def test_conditional_law_and_exact_pairs(line):
    """X_S | x₀ against p_S(y | x₀)ψ_S(y)/ψ_0(x₀) on the grid, 1e-10; 20,000 pairs: five moments
    within 5 standard errors of those of the two-dimensional density."""
    phi0, psi, (_, psi0) = values(line.phi), values(line.psi), quadrature(line, 0.0)
    k = kernel(line.reference, line.total)
    log_w, means, covs = line.conditional(LINE[300:301, None])
    mine = sum(np.exp(log_w[0, i]) * normal(LINE, means[0, i, 0], covs[i, 0, 0]) for i in range(2))
    assert np.abs(mine - k[300] * psi / psi0[300]).max() < 1e-10
    log_p = line.conditional_log_prob(LINE[320:400, None], np.full((80, 1), LINE[300]))
    assert np.abs(np.asarray(log_p) - np.log(mine[320:400])).max() < 1e-10
    mean, cov = line.conditional_moments(LINE[300:301, None])
    assert float(mean[0, 0]) == pytest.approx(H * (mine * LINE).sum(), abs=1e-10)
    spread = H * (mine * (LINE - float(mean[0, 0])) ** 2).sum()
    assert float(cov[0, 0, 0]) == pytest.approx(spread, abs=1e-10)

    if not isinstance(line.reference, OrnsteinUhlenbeck):
        return  # pairs are drawn by the same program
    joint = H * H * phi0[:, None] * k * psi[None]
    assert joint.sum() == pytest.approx(1.0, abs=1e-10)
    n = 20_000
    x0, x1 = (np.asarray(a)[:, 0] for a in line.sample_pairs(jax.random.key(0), n))
    a, b = np.meshgrid(LINE, LINE, indexing="ij")
    for f in (
        lambda x, y: x,
        lambda x, y: y,
        lambda x, y: x * y,
        lambda x, y: x * x,
        lambda x, y: y * y,
    ):
        truth = (joint * f(a, b)).sum()
        error = np.sqrt(((joint * f(a, b) ** 2).sum() - truth**2) / n)
        assert abs(f(x0, x1).mean() - truth) < 5 * error


def test_one_component_each_is_the_bridge_of_normal_laws():
    """φ_0 and ψ_S normal in R^3: p_0 and p_S are normal, and the drifts are those of GaussianBridge
    between them, 1e-10."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 3))
    reference = brownian_reference(Euclidean(3), 0.8)
    psi = MixturePotential([0.3], rng.normal(size=(1, 3)), (a @ a.T + 0.2 * np.eye(3))[None])
    phi = MixturePotential([-1.0], rng.normal(size=(1, 3)), (b @ b.T + 0.2 * np.eye(3))[None])
    bridge = MixturePotentialBridge(reference, psi, phi=phi)
    from scorefold.bridges.exact.mixture_potential import _product

    _, mean0, cov0 = _product(bridge.phi, psi, bridge.transition, 0.8)
    gain = np.asarray(
        bridge.conditional_moments(np.eye(3))[0] - bridge.conditional_moments(np.zeros((3, 3)))[0]
    ).T
    zero = np.asarray(bridge.conditional_moments(np.zeros((1, 3)))[0])[0]
    cov1 = np.asarray(bridge.conditional_moments(np.zeros((1, 3)))[1])[0] + gain @ cov0[0] @ gain.T
    exact = GaussianBridge(reference, mean0[0], cov0[0], zero + gain @ mean0[0], cov1)
    x = jnp.asarray(rng.normal(size=3))
    both = quick(lambda x, s: [(w.forward(x, s), w.backward(x, s)) for w in (bridge, exact)])
    for s in (0.1, 0.7):
        mine, truth = both(x, jnp.asarray(s))
        assert np.abs(np.asarray(mine) - np.asarray(truth)).max() < 1e-10


def test_atoms_start_the_bridge(line):
    """φ_0 = Σ δ/ψ_0: p_s is the mean over atoms x_i of the pinned law p_s(x | x_i)ψ_s(x)/ψ_0(x_i),
    1e-12, and its mass is 1."""
    atoms = np.array([[-1.0], [0.2], [0.9]])
    bridge = MixturePotentialBridge(line.reference, line.psi, atoms=atoms)
    s = 0.4 * line.total
    t = float(line.reference.schedule.t(jnp.asarray(s)))
    log_psi = quick(jax.vmap(line.log_psi, (0, None)))
    at = np.asarray(log_psi(jnp.asarray(atoms), jnp.asarray(0.0)))
    here = np.exp(np.asarray(log_psi(jnp.asarray(LINE)[:, None], jnp.asarray(s))))
    rows = np.round((atoms[:, 0] + 9.0) / H).astype(int)
    assert np.abs(LINE[rows] - atoms[:, 0]).max() < 1e-12
    truth = (kernel(line.reference, s)[rows] * np.exp(-at)[:, None]).mean(0) * here
    mine = np.exp(np.asarray(bridge.log_prob(t, LINE[:, None])))
    assert np.abs(mine - truth).max() < 1e-12
    assert H * mine.sum() == pytest.approx(1.0, abs=1e-9)


def test_benchmark_pair_is_reproducible_and_its_walk_ends_in_the_plan():
    """The same key gives the same pair (values recorded). A forward walk from one x₀ ends in the
    conditional law: means of 4000 ends within 5 standard errors + 1/steps of the scale."""
    pair = mixture_pair(3, 1.0, key=jax.random.key(7), atoms=8)
    again = mixture_pair(3, 1.0, key=jax.random.key(7), atoms=8)
    assert np.array_equal(pair.bridge.psi.means, again.bridge.psi.means)
    assert np.abs(np.linalg.norm(pair.bridge.psi.means, axis=1) - 5.0).max() < 1e-12
    assert np.abs(np.linalg.eigvalsh(pair.bridge.psi.covs) - [0.5, 1.0, 1.5]).max() < 1e-12
    x0 = np.array([[0.3, -0.5, 1.0]])
    mean, cov = (np.asarray(a)[0] for a in pair.bridge.conditional_moments(x0))
    n, steps = 4000, 100
    ends = np.asarray(
        pair.bridge.sample_forward(jax.random.key(0), np.repeat(x0, n, 0), steps=steps)
    )
    scale = np.sqrt(np.diag(cov))
    assert (np.abs(ends.mean(0) - mean) < scale * (5 / np.sqrt(n) + 1 / steps)).all()


def test_floor_of_conditional_bures():
    """m draws of N(0, S), S with eigenvalues λ: to first order in 1/m the expected value is
    {tr S + ½ Σ_ij (1 + δ_ij) λ_i λ_j/(λ_i + λ_j)}/m · 100/(½ Var). 2000 rows of 200 draws: within
    5 standard errors (each row has a spread of about its mean: 5/√2000) + 2/m relative."""
    rng, m, sizes = np.random.default_rng(0), 200, np.array([2.0, 0.5, 1.0])
    samples = rng.normal(size=(2000, m, 3)) * np.sqrt(sizes)
    pairs = np.outer(sizes, sizes) / np.add.outer(sizes, sizes) * (1 + np.eye(3))
    expected = 100 * (sizes.sum() + 0.5 * pairs.sum()) / m / (0.5 * 3.5)
    covs = np.broadcast_to(np.diag(sizes), (2000, 3, 3))
    value = conditional_bures(samples, np.zeros((2000, 3)), covs, 3.5)
    assert value == pytest.approx(expected, rel=5 / np.sqrt(2000) + 2 / m)


def test_conditional_bures_of_exact_draws():
    """Draws of the true conditional laws stay below 1 %. A shift δ of all adds exactly
    100(|δ|² + 2⟨δ, mean error⟩)/(½ Var); W₂² of commuting covariances is Σ(√λ − √μ)²."""
    pair = mixture_pair(3, 1.0, key=jax.random.key(1), atoms=8)
    x0 = np.random.default_rng(0).normal(size=(10, 3))
    x1 = pair.bridge.sample_conditional(jax.random.key(2), np.repeat(x0, 400, axis=0))
    drawn = np.asarray(x1).reshape(10, 400, 3)
    means, covs = pair.bridge.conditional_moments(x0)
    variance = float(np.trace(np.cov(np.asarray(x1).T)))
    floor = conditional_bures(drawn, means, covs, variance)
    assert 0 < floor < 1.0
    shift = np.array([0.6, -0.8, 0.0])
    moved = conditional_bures(drawn + shift, means, covs, variance)
    own = drawn.mean(1) - np.asarray(means)
    expected = 100 * (1.0 + 2 * (own @ shift).mean()) / (0.5 * variance)
    assert moved - floor == pytest.approx(expected, rel=1e-9)
    zero = np.zeros(2)
    square = bures_wasserstein(zero, np.diag([4.0, 1.0]), zero, np.diag([1.0, 9.0]))
    assert float(square) == pytest.approx(1.0 + 4.0, abs=1e-12)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"covs: rows \[1\] are not positive definite"):
        MixturePotential(np.zeros(2), np.zeros((2, 1)), [[[1.0]], [[-1.0]]])
    reference = brownian_reference(Euclidean(1), 1.0)
    psi = MixturePotential(np.zeros(1), np.zeros((1, 1)), [[[1.0]]])
    with pytest.raises(ValueError, match="phi, atoms: give one of the two"):
        MixturePotentialBridge(reference, psi)
    with pytest.raises(ValueError, match="psi: needs covariances"):
        MixturePotentialBridge(reference, MixturePotential(np.zeros(1), np.zeros((1, 1))), phi=psi)
    with pytest.raises(ValueError, match=r"samples: shape must be"):
        conditional_bures(np.zeros((2, 1, 1)), np.zeros((2, 1)), np.zeros((2, 1, 1)), 1.0)
