"""Bridges between normal laws: closed forms against the limit of IPF, finite differences,
published values and simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.bridges import GaussianBridge, Normal, brownian_reference, gaussian_ipf
from scorefold.manifolds import Euclidean, Sphere
from scorefold.noising import Cosine, Linear, OrnsteinUhlenbeck, VarianceExploding

D = 3
REFERENCES = {
    "brownian": VarianceExploding(Euclidean(D), Linear(0.2, 1.6)),
    "ornstein": OrnsteinUhlenbeck(D, Cosine(1.3), location=np.array([0.5, -0.2, 1.0]), std=1.4),
}


def matrices(seed=0):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, D, D))
    return (
        rng.normal(size=D),
        a @ a.T + 0.3 * np.eye(D),
        rng.normal(size=D),
        b @ b.T + 0.2 * np.eye(D),
    )


@pytest.fixture(scope="module", params=REFERENCES)
def case(request):
    reference = REFERENCES[request.param]
    return reference, matrices(), GaussianBridge(reference, *matrices())


def end_moments(reference):
    """a, b, v over the whole clock from draws' law: read off log_prob at exact points."""
    s = reference.schedule.total
    zero = jnp.zeros(D)
    v = -D / jnp.trace(jax.jacobian(lambda x: reference.score(x, zero, s))(zero))
    a = v * jax.jacobian(lambda y: reference.score(zero, y, s))(zero)[0, 0]
    return float(a), np.asarray(v * reference.score(zero, zero, s)), float(v)


def iterate(reference, m0, s0, m1, s1, half_steps):
    """IPF on the joint mean and covariance, written with Gaussian conditioning on 2d variables."""
    a, b, v = end_moments(reference)
    mean = np.concatenate([m0, a * m0 + b])
    cov = np.block([[s0, a * s0], [a * s0, a * a * s0 + v * np.eye(D)]])
    out = [(mean, cov)]
    for k in range(1, half_steps + 1):
        keep, m, s = (slice(D, 2 * D), m1, s1) if k % 2 else (slice(0, D), m0, s0)
        gain = cov[:, keep] @ np.linalg.inv(cov[keep, keep])
        mean = mean + gain @ (m - mean[keep])
        cov = cov + gain @ (s - cov[keep, keep]) @ gain.T
        out.append((mean, cov))
    return out


def test_coupling_is_the_limit_of_ipf(case):
    """400 half steps on the joint law, 1e-11."""
    reference, laws, bridge = case
    mean, cov = iterate(reference, *laws, 400)[-1]
    assert np.abs(bridge.coupling().cov - cov).max() < 1e-11
    assert np.abs(bridge.coupling().mean - mean).max() < 1e-11


def test_every_half_step_of_ipf(case):
    """The joint law of each iterate, recovered from its two end laws by the closed form of C: this
    holds because iterates are bridges. Half steps 0 to 6, 1e-11."""
    reference, laws, _ = case
    for mine, (mean, cov) in zip(
        gaussian_ipf(reference, *laws, 6), iterate(reference, *laws, 6), strict=True
    ):
        assert np.abs(mine.coupling().cov - cov).max() < 1e-11
        assert np.abs(mine.coupling().mean - mean).max() < 1e-11


def test_iterate_zero_is_the_reference(case):
    """No drift is added, at any level: 1e-12."""
    reference, laws, _ = case
    start = gaussian_ipf(reference, *laws, 0)[0]
    x = jnp.asarray([0.3, -1.0, 2.0])
    for s in (0.0, 0.4, reference.schedule.total):
        assert float(jnp.abs(start.forward(x, jnp.asarray(s))).max()) < 1e-12


def test_law_on_the_way_is_that_of_pinned_paths(case):
    """X_s given both ends, by conditioning the 3-d reference law of (X_0, X_s, X_S): 1e-12."""
    _, _, bridge = case
    transition, joint, s = bridge.transition, bridge.coupling(), 0.3 * bridge.total
    a, b, v = transition.moments(np.float64(s), np)
    ar, br, vr = transition.moments(np.float64(bridge.total - s), np)
    # X_s | ends: precision 1/v + ar²/vr.
    var = 1.0 / (1.0 / v + ar**2 / vr)
    gain = np.concatenate([var * a / v * np.eye(D), var * ar / vr * np.eye(D)], axis=1)
    mean = gain @ joint.mean + var * (b / v - ar * br / vr)
    cov = gain @ joint.cov @ gain.T + var * np.eye(D)
    law = bridge.law_at(s)
    assert np.abs(law.mean - mean).max() < 1e-12 and np.abs(law.cov - cov).max() < 1e-12


def test_score_is_the_gradient_of_the_law(case):
    """∇ log φ + ∇ log ψ = −S_s⁻¹(x − m_s) at five levels and both ends, 1e-11."""
    _, _, bridge = case
    x = jnp.asarray([0.3, -1.0, 2.0])
    for t in (0.0, 0.1, 0.5, 0.9, 1.0):
        law = bridge.law(t)
        truth = -np.linalg.solve(law.cov, np.asarray(x) - law.mean)
        assert np.abs(np.asarray(bridge.score(t, x)) - truth).max() < 1e-11


def test_forward_is_the_mean_bridge_drift(case):
    """∇ log ψ_s(x) = E[∇_x log p_{S−s}(X_S | x)] with X_S | X_s from the 2-d law: 1e-11."""
    _, _, bridge = case
    joint, s = bridge.coupling(), 0.6 * bridge.total
    a, _, v = bridge.transition.moments(np.float64(s), np)
    ar, br, vr = bridge.transition.moments(np.float64(bridge.total - s), np)
    var = 1.0 / (1.0 / v + ar**2 / vr)
    gain = np.concatenate([var * a / v * np.eye(D), var * ar / vr * np.eye(D)], axis=1)
    law, x = bridge.law_at(s), np.array([0.3, -1.0, 2.0])
    cross = (gain @ joint.cov)[:, D:]  # Cov(X_s, X_S)
    mean = bridge.end.mean + cross.T @ np.linalg.solve(law.cov, x - law.mean)
    truth = ar / vr * (mean - ar * x - br)
    mine = np.asarray(bridge.forward(jnp.asarray(x), jnp.asarray(s)))
    assert np.abs(mine - truth).max() < 1e-11


def test_published_values():
    """Means ∓0.1, unit covariances, σ = 1: Cov(X_0, X_1) = (√5 − 1)/2 = 0.6180 and variance
    t(1 − t)√(4 + σ⁴) + (1 − t)² + t² (Tong et al. 2024, Equation 23; Shi et al. 2023, Table 3)."""
    for sigma in (0.5, 1.0, 2.0):
        reference = brownian_reference(Euclidean(5), sigma**2)
        bridge = GaussianBridge(
            reference, -0.1 * np.ones(5), np.eye(5), 0.1 * np.ones(5), np.eye(5)
        )
        for t in (0.0, 0.25, 0.7, 1.0):
            law = bridge.law(t)
            variance = t * (1 - t) * np.sqrt(4 + sigma**4) + (1 - t) ** 2 + t**2
            assert np.abs(law.cov - variance * np.eye(5)).max() < 1e-14
            assert np.abs(law.mean - (0.2 * t - 0.1)).max() < 1e-15
        if sigma == 1.0:
            assert np.abs(bridge.cross - 0.5 * (np.sqrt(5) - 1) * np.eye(5)).max() < 1e-14


def test_variance_preserving_time_scale():
    """dX = −½βX dt + √β dW: 2 sinh(B/2) takes the place of σ² in C for unit covariances:
    C = ½(√(4 + τ²) − τ), 1e-13."""
    reference = OrnsteinUhlenbeck(2, Linear(0.1, 3.0))
    tau = 2 * np.sinh(reference.schedule.total / 2)
    bridge = GaussianBridge(reference, np.zeros(2), np.eye(2), np.ones(2), np.eye(2))
    assert np.abs(bridge.cross - 0.5 * (np.sqrt(4 + tau**2) - tau) * np.eye(2)).max() < 1e-13


def test_short_clocks_are_optimal_transport():
    """As S → 0: E|X_1 − X_0|² and the energy of the flow fall to W₂² (Gelbrich). At S = 1e-4 the
    first differs by S·d − O(S²) at most, the second by less; and energy ≥ W₂² always."""
    laws, d = matrices(), D
    for s, allowed in ((1e-4, 1.0), (0.5, np.inf)):
        bridge = GaussianBridge(brownian_reference(Euclidean(D), s), *laws)
        square = bridge.start.wasserstein(bridge.end) ** 2
        assert 0 <= bridge.transport_cost() - square < min(allowed, 1.0) * s * d
        assert -1e-9 <= bridge.flow_energy() - square < allowed * s * d


def test_path_energy_of_translation_and_relative_entropy():
    """Equal covariances shifted by h: the flow is a translation plus a part with mean 0 whose
    energy is that at h = 0, so they differ by |h|². KL(P ‖ R) is the KL of the two joint laws."""
    m0, s0, _, _ = matrices()
    shift = np.array([1.0, -2.0, 0.5])
    flat = VarianceExploding(Euclidean(D), Linear(0.9, 0.9))
    moved = GaussianBridge(flat, m0, s0, m0 + shift, s0).flow_energy()
    still = GaussianBridge(flat, m0, s0, m0, s0).flow_energy()
    assert moved - still == pytest.approx(shift @ shift, abs=1e-11)
    for reference in REFERENCES.values():
        laws = matrices()
        bridge, start = GaussianBridge(reference, *laws), gaussian_ipf(reference, *laws, 0)[0]
        kl = bridge.coupling().kl(start.coupling())
        assert bridge.relative_entropy() == pytest.approx(kl, abs=1e-11)


def test_control_energy_is_the_relative_entropy(case):
    """½ E∫|∇ log ψ_s|² ds by Gauss–Legendre in s and the affine drift, 1e-9."""
    _, _, bridge = case
    at, w = np.polynomial.legendre.leggauss(40)
    total, energy = bridge.total, 0.0
    drift = jax.jit(jax.vmap(bridge.forward, (0, None)))
    for s, weight in zip(0.5 * total * (at + 1), 0.5 * total * w, strict=True):
        law = bridge.law_at(s)
        f = np.asarray(
            drift(
                jnp.asarray(law.mean + np.concatenate([np.zeros((1, D)), np.eye(D)])),
                jnp.asarray(s),
            )
        )
        slope = f[1:] - f[:1]
        energy += 0.5 * weight * (f[0] @ f[0] + np.sum((slope.T @ law.cov) * slope.T))
    assert bridge.relative_entropy() == pytest.approx(energy, abs=1e-9)


def test_pairs_and_flow_have_the_stated_laws(case):
    """20,000 pairs: every joint moment within 5 standard errors (scale of a covariance entry:
    √((S_ii S_jj + S_ij²)/n)). The flow is affine, so d + 1 points tell the law it ends in: its
    error is O(steps⁻²), below 1e-3 with 50 steps and a quarter of that (± 5 %) with 100."""
    reference, _, bridge = case
    n = 20_000
    x0, x1 = bridge.sample_pairs(jax.random.key(0), n)
    z, joint = np.concatenate([x0, x1], axis=1), bridge.coupling()
    scale = np.sqrt((np.outer(np.diag(joint.cov), np.diag(joint.cov)) + joint.cov**2) / n)
    assert (np.abs(np.cov(z.T) - joint.cov) < 5 * scale).all()
    assert (np.abs(z.mean(0) - joint.mean) < 5 * np.sqrt(np.diag(joint.cov) / n)).all()
    if not isinstance(reference, OrnsteinUhlenbeck):
        return  # the program of the flow is the same
    points = bridge.start.mean + np.concatenate([np.zeros((1, D)), np.eye(D)])
    errors = []
    for steps in (50, 100):
        ends = np.asarray(bridge.flow(points, steps=steps))
        slope = (ends[1:] - ends[:1]).T
        assert np.abs(ends[0] - bridge.end.mean).max() < 1e-4
        errors.append(np.abs(slope @ bridge.start.cov @ slope.T - bridge.end.cov).max())
    assert errors[0] < 1e-3 and errors[1] == pytest.approx(errors[0] / 4, rel=0.05)


def test_log_prob_and_float32(case):
    """log p_t against SciPy, 1e-12; gradients of float32 points within 1e-4 of float64's."""
    from scipy.stats import multivariate_normal

    _, _, bridge = case
    x = np.random.default_rng(2).normal(size=(4, D))
    law = bridge.law(0.4)
    truth = multivariate_normal(law.mean, law.cov).logpdf(x)
    assert np.abs(np.asarray(bridge.log_prob(0.4, x)) - truth).max() < 1e-12
    # The chain rule on pairs.
    joint = bridge.coupling().log_prob(np.concatenate([x, x[::-1]], axis=1))
    parts = bridge.start.log_prob(x) + bridge.conditional_log_prob(x[::-1], x)
    assert np.abs(np.asarray(joint - parts)).max() < 1e-10
    fine = bridge.score(0.4, x[0])
    coarse = bridge.score(0.4, jnp.asarray(x[0], jnp.float32))
    assert (
        coarse.dtype == jnp.float32 and np.abs(np.asarray(coarse) - np.asarray(fine)).max() < 1e-4
    )


def test_normal_laws():
    """On the line log(σ₂/σ₁) + (σ₁² + δ²)/2σ₂² − ½ and √(δ² + (σ₁ − σ₂)²)."""
    p, q = Normal([0.5], [[4.0]]), Normal([-1.0], [[0.25]])
    assert p.kl(q) == pytest.approx(np.log(0.25) + (4 + 2.25) / 0.5 - 0.5, abs=1e-12)
    assert p.wasserstein(q) == pytest.approx(np.hypot(1.5, 1.5), abs=1e-12)


def test_bad_input_is_named():
    reference = brownian_reference(Euclidean(2), 1.0)
    eye, zero = np.eye(2), np.zeros(2)
    with pytest.raises(ValueError, match=r"cov1: is not positive definite \(smallest"):
        GaussianBridge(reference, zero, eye, zero, np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"cov0: is not symmetric"):
        GaussianBridge(reference, zero, [[1.0, 0.5], [0.0, 1.0]], zero, eye)
    with pytest.raises(ValueError, match=r"mean0: shape must be \(2,\)"):
        GaussianBridge(reference, np.zeros(3), np.eye(3), zero, eye)
    with pytest.raises(ValueError, match=r"reference: Brownian on S\^2 is not linear"):
        GaussianBridge(brownian_reference(Sphere(2), 1.0), np.zeros(3), np.eye(3), zero, eye)
    with pytest.raises(ValueError, match=r"t must be a process time"):
        GaussianBridge(reference, zero, eye, zero, eye).law(1.5)
