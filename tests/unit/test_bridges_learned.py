"""Learned bridges: each half-step has the exact field as its minimiser, and the fit keeps its word.

Oracles: iterative proportional fitting between Gaussian laws written in the joint law of the ends
(a projection replaces one marginal and keeps the regression on it), laws that the heat flow keeps
in their family, and quadrature of products of heat kernels. Minimisers are tested as in
test_losses: along F + a·V the mean loss is a parabola in a with its minimum at a = 0; Monte Carlo
slopes are compared within 4 standard errors of the same draws, and the keys are fixed.
"""

import json
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.bridges import (
    BridgeMatching,
    DiffusionSchrodingerBridge,
    NetworkBridge,
    brownian_reference,
    fit_bridge,
)
from scorefold.bridges.networks.coupling import transport_coupling
from scorefold.bridges.networks.field import BridgeField, CurvedFrame, FlatFrame, ReferenceScore
from scorefold.bridges.networks.gaussian_start import gaussian_iterates
from scorefold.bridges.networks.objectives import ImplicitMeanMatching, PinnedRegression
from scorefold.bridges.networks.process import levels, steered
from scorefold.bridges.reference.pinned import pinned_draw, pinned_walk
from scorefold.fields import AmbientOutput, NetworkSpec
from scorefold.fitting import DifferentRun, load, save
from scorefold.manifolds import SO3, Euclidean, Manifold, Product, Sphere, Torus
from scorefold.noising import Constant, Langevin, Noising, OrnsteinUhlenbeck

quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
SMALL = NetworkSpec(width=16, depth=1, fourier=0, time_features=1)
BROWNIAN = brownian_reference(Euclidean(2), 0.8)
DRIFTING = OrnsteinUhlenbeck(2, Constant(0.8), location=np.array([0.3, -0.2]), std=1.3)
REFERENCES = {"brownian": BROWNIAN, "drifting": DRIFTING}


def gaussian_data(n, seed=0):
    """Samples whose empirical moments are a's and b's: no sampling error in what follows."""
    rng = np.random.default_rng(seed)
    out = []
    for mean, root in (
        ([0.4, -0.3], [[1.0, 0.0], [0.6, 0.5]]),
        ([-0.5, 0.8], [[0.7, 0.2], [0, 1]]),
    ):
        z = rng.normal(size=(n, 2))
        z = (z - z.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(z.T)).T)
        out.append(z @ np.asarray(root).T + np.asarray(mean))
    return jnp.asarray(out[0]), jnp.asarray(out[1])


def joint_iterates(reference, a, b, count):
    """Means and covariances of (X_0, X_S) after 0, 1, … half-steps, the first one towards a: from
    the reference started at a, each replaces the marginal of the end where it starts (b, a, …) and
    keeps the regression of the other end on it."""
    a, b = np.asarray(a), np.asarray(b)
    total = reference.schedule.total
    rate = 1.0 / reference.std**2 if isinstance(reference, OrnsteinUhlenbeck) else 0.0
    m, v = np.exp(-0.5 * rate * total), -np.expm1(-rate * total) / rate if rate else total
    mu = np.zeros(2)
    if isinstance(reference, OrnsteinUhlenbeck):
        mu = np.asarray(reference.law.location)
    law = {"a": (a.mean(0), np.cov(a.T)), "b": (b.mean(0), np.cov(b.T))}
    mean_a, cov_a = law["a"]
    mean = np.concatenate([mean_a, mu + m * (mean_a - mu)])
    cov = np.block([[cov_a, m * cov_a], [m * cov_a, m * m * cov_a + v * np.eye(2)]])
    found = [(mean, cov)]
    for n in range(count):
        old, other = (slice(2, 4), slice(0, 2)) if n % 2 == 0 else (slice(0, 2), slice(2, 4))
        new_mean, new_cov = law["b" if n % 2 == 0 else "a"]
        gain = cov[other, old] @ np.linalg.inv(cov[old, old])
        rest = cov[other, other] - gain @ cov[old, other]
        mean, cov = mean.copy(), cov.copy()
        mean[other] = mean[other] + gain @ (new_mean - mean[old])
        cov[other, other] = gain @ new_cov @ gain.T + rest
        cov[other, old] = gain @ new_cov
        cov[old, other] = cov[other, old].T
        mean[old], cov[old, old] = new_mean, new_cov
        found.append((mean, cov))
    return found


def carried(bridge, field, mean, cov, steps):
    """Joint moments of start and end of the walk that ``field`` steers: each step is affine in
    (x, z), and its matrices are read off by differentiation."""
    step = steered(bridge.reference, field)
    grid = jnp.asarray(levels(bridge.total, steps))[::-1]
    key = jax.random.key(0)

    @quick
    def affine(s, ds):
        at = lambda x: step(key, x, s, ds)  # noqa: E731
        zero = jnp.zeros(2)
        many = jax.vmap(lambda k: step(k, zero, s, ds))(jax.random.split(key, 3))
        z = jax.vmap(lambda k: jax.random.normal(k, (2,)))(jax.random.split(key, 3))
        return jax.jacfwd(at)(zero), many, z

    total, cross = cov, cov
    for s, ds in zip(grid[:-1], jnp.diff(grid), strict=True):
        matrix, many, z = map(np.asarray, affine(s, ds))
        noise = np.linalg.solve(z[1:] - z[:1], many[1:] - many[:1]).T
        shift = many[0] - noise @ z[0]
        mean = matrix @ mean + shift
        total = matrix @ total @ matrix.T + noise @ noise.T
        cross = matrix @ cross
    return mean, total, cross


def affine_field(bridge, affine, network=None):
    m = bridge.manifold
    network = Push(jnp.zeros(()), 0) if network is None else network
    ones = jnp.ones(2)
    start = ReferenceScore(bridge.reference) if affine is None else affine
    frame = FlatFrame(bridge.reference, ones, 0 * ones, ones)
    return BridgeField(m, network, AmbientOutput(), bridge.floor, start, frame)


class Push(eqx.Module):
    """a·V, V linear in the features and curved in the level."""

    a: jax.Array
    seed: int

    def __call__(self, h, r):
        w = np.random.default_rng(self.seed).normal(size=(len(h), len(h)))
        return self.a * (jnp.asarray(w, h.dtype) @ h + jnp.cos(3.0 * r))


@pytest.mark.parametrize("name", REFERENCES)
def test_gaussian_half_steps(name):
    """The affine fields are the exact iterates, and a walk with them has the exact law of its ends
    whatever its number of steps: here one and three, to rounding."""
    reference = REFERENCES[name]
    a, b = gaussian_data(50)
    bridge = BridgeMatching(reference)
    fields = gaussian_iterates(reference, np.asarray(a), np.asarray(b), 4, converged=False)
    joints = joint_iterates(reference, a, b, 4)
    for n, steps in ((1, 1), (2, 3), (3, 1), (4, 3)):
        # Half-step n starts its reversed walk at b for odd n.
        first, last = (slice(2, 4), slice(0, 2)) if n % 2 else (slice(0, 2), slice(2, 4))
        mean, cov = joints[n]
        end = carried(
            bridge, affine_field(bridge, fields[n]), mean[first], cov[first, first], steps
        )
        np.testing.assert_allclose(end[0], mean[last], atol=1e-9)
        np.testing.assert_allclose(end[1], cov[last, last], atol=1e-9)
        np.testing.assert_allclose(end[2], cov[last, first], atol=1e-9)


@pytest.mark.parametrize("name", REFERENCES)
def test_gaussian_limit(name):
    """The closed form of the limit is what 200 half-steps lead to."""
    reference = REFERENCES[name]
    a, b = (np.asarray(x) for x in gaussian_data(50))
    slow = gaussian_iterates(reference, a, b, 200, converged=False)
    fast = gaussian_iterates(reference, a, b, 1, converged=True)
    for x, y in ((slow[200], fast[0]), (slow[199], fast[1])):
        precision = [
            np.asarray(f.vectors) * np.asarray(f.values) @ np.asarray(f.vectors).T for f in (x, y)
        ]
        linear = [np.asarray(f.vectors @ f.linear) for f in (x, y)]
        np.testing.assert_allclose(*precision, atol=1e-9)
        np.testing.assert_allclose(*linear, atol=1e-9)


def slopes(objective, field, batch, key):
    """(slope, its standard error, curvature) of the mean loss along the network's factor a."""

    @quick
    def losses(batch):
        def at(a):
            return objective(eqx.tree_at(lambda f: f.network.a, field, a), batch, key)

        return jax.vmap(at)(jnp.asarray([-1.0, 0.0, 1.0]))

    low, middle, high = np.asarray(losses(batch))
    slope = 0.5 * (high - low)
    blocks = slope.reshape(100, -1).mean(1)  # neighbours may share a path or a stratum
    return blocks.mean(), blocks.std(ddof=1) / 10.0, np.mean(high + low - 2.0 * middle)


def assert_minimal(found):
    slope, error, curvature = found
    assert abs(slope) < 4 * error
    assert curvature > 8 * error  # a field wrong by V would be seen


@pytest.mark.parametrize("loss", ["mean", "implicit", "hutchinson"])
@pytest.mark.parametrize("name", REFERENCES)
def test_each_half_step_of_proportional_fitting_has_the_exact_iterate(name, loss):
    if (name, loss) in (("brownian", "hutchinson"), ("drifting", "implicit")):
        pytest.skip("the same programs as the two others")
    reference = REFERENCES[name]
    a, b = gaussian_data(5000)
    bridge = DiffusionSchrodingerBridge(reference, steps=8, loss=loss)
    n = 2 if loss == "mean" else 1
    affine = gaussian_iterates(reference, np.asarray(a), np.asarray(b), 3, converged=False)
    other = affine_field(bridge, affine[n])
    field = affine_field(bridge, affine[n + 1], Push(jnp.zeros(()), 1))
    start = a if n % 2 == 0 else b
    examples = eqx.filter_jit(bridge.examples)(jax.random.key(3), other, start, start, False)
    assert_minimal(slopes(bridge.objective, field, examples, jax.random.key(4)))


@pytest.mark.parametrize("name", REFERENCES)
def test_bridge_matching_has_the_bridge_as_fixed_point(name):
    reference = REFERENCES[name]
    a, b = gaussian_data(20000)
    bridge = BridgeMatching(reference, steps=2)
    affine = gaussian_iterates(reference, np.asarray(a), np.asarray(b), 1, converged=True)
    other = affine_field(bridge, affine[0])
    field = affine_field(bridge, affine[1], Push(jnp.zeros(()), 1))
    pairs = eqx.filter_jit(bridge.examples)(jax.random.key(3), other, a, b, False)
    assert_minimal(slopes(bridge.objective, field, pairs, jax.random.key(4)))


class Tilted(eqx.Module):
    """The law (1 + c·h)/volume, h = cos of the distance to a pole: h is an eigenfunction, so after
    Brownian motion for s it is the same with c·e^{−λ₁s/2}, λ₁ its eigenvalue."""

    manifold: Manifold
    c: float = 0.9

    def score(self, x, s):
        m = self.manifold
        tilt = self.c * jnp.exp(-0.5 * m.spectral_gap * s)
        slope = -jnp.sin(x) if isinstance(m, Torus) else m.to_tangent(x, m.origin(x.dtype))
        return tilt * slope / (1.0 + tilt * m.embed(x)[0])

    def sample(self, key, s):
        """A uniform point, or the opposite one if that is the likelier."""
        first, second = jax.random.split(key)
        m = self.manifold
        x = m.uniform(first, jnp.float64)
        tilt = self.c * jnp.exp(-0.5 * m.spectral_gap * s)
        keep = jax.random.uniform(second) < 0.5 * (1.0 + tilt * m.embed(x)[0])
        opposite = m.exp(x, jnp.full(1, np.pi)) if isinstance(m, Torus) else -x
        return jnp.where(keep, x, opposite)


class Exact(eqx.Module):
    """The network of a field that is size·score + a·V."""

    a: jax.Array
    law: Tilted
    reference: Noising
    size: float

    def __call__(self, h, r):
        m = self.law.manifold
        x = jnp.arctan2(h[m.d :], h[: m.d]) if isinstance(m, Torus) else h
        v = m.killing(x)[-1] + 0.5 * self.law.score(x, 0.0 * r)
        return (self.size * self.law.score(x, r) + self.a * v) / self.reference.scale(r)


def curved_case(m, total):
    reference = brownian_reference(m, total)

    def field(size):
        network = Exact(jnp.zeros(()), Tilted(m), reference, size)
        start, frame = ReferenceScore(reference), CurvedFrame(reference)
        return BridgeField(m, network, AmbientOutput(), 1e-6, start, frame)

    return reference, Tilted(m), field


@pytest.mark.parametrize("manifold", [Sphere(2), Torus(1)], ids=lambda m: m.name)
def test_implicit_loss_turns_a_process_and_turns_it_back(manifold):
    """Brownian motion from a law whose score is known at every s. The field that turns it is that
    score (G = 0); turning the reversed process back again takes the field 0 (G = score)."""
    total, n = 0.6, 10000
    _, law, field = curved_case(manifold, total)

    @quick
    @jax.vmap
    def draw(key):
        first, second = jax.random.split(key)
        r = total * jax.random.uniform(first, minval=0.1)
        x = law.sample(second, r)
        return x, r, law.score(x, r)

    x, r, score = draw(jax.random.split(jax.random.key(0), n))
    weight = jnp.ones(n)
    turned = (x, r, weight, jnp.zeros_like(x))
    back = (x, total - r, weight, score)
    for batch, size in ((turned, 1.0), (back, 0.0)):
        found = slopes(ImplicitMeanMatching(), field(size), batch, jax.random.key(1))
        assert_minimal(found)


def test_pinned_regression_on_a_torus():
    """Ends of Brownian motion from a law with known scores, pinned exactly with their turns."""
    reference, law, field = curved_case(Torus(1), 4.0)

    @quick
    @jax.vmap
    def pair(key):
        first, second = jax.random.split(key)
        x0 = law.sample(first, 0.0)
        return x0, reference.sample(second, x0, 4.0)

    pairs = pair(jax.random.split(jax.random.key(0), 20000))
    found = slopes(PinnedRegression(reference, 0.05), field(1.0), pairs, jax.random.key(1))
    assert_minimal(found)


def sphere_nodes(n=48):
    z, w = np.polynomial.legendre.leggauss(n)
    phi = 2 * np.pi * np.arange(2 * n) / (2 * n)
    rho = np.sqrt(1 - z**2)
    points = np.stack([np.outer(rho, np.cos(phi)), np.outer(rho, np.sin(phi)),
                       np.outer(z, np.ones(2 * n))], -1)  # fmt: skip
    return jnp.asarray(points.reshape(-1, 3)), np.repeat(w, 2 * n) * np.pi / n


def pinned_mean(manifold, nodes, weights, x0, end, s, total):
    """E[embed(X_s) | X_0, X_S] by quadrature of p_s(x₀, x) p_{S−s}(x, x_S)."""
    logs = jax.vmap(
        lambda x: manifold.heat.log_prob(x, x0, s) + manifold.heat.log_prob(end, x, total - s)
    )
    mass = np.asarray(jnp.exp(quick(logs)(nodes))) * weights
    return mass @ np.asarray(jax.vmap(manifold.embed)(nodes)) / mass.sum()


@pytest.mark.slow
def test_pinned_walks_on_the_sphere():
    """Quadrature on 48 × 96 nodes. The walk of 40 steps is off by less than 0.01 (weak order 1),
    and Monte Carlo by 4 standard errors of 4000 paths, at most 4·0.7/63."""
    m, total = Sphere(2), 0.8
    reference = brownian_reference(m, total)
    x0 = m.origin(jnp.float64)
    end = m.exp(x0, 1.8 * m.frame(x0)[0])
    bridge = BridgeMatching(reference, steps=40)
    grid = bridge.grid(40, jnp.float64)
    walks = quick(jax.vmap(lambda k: pinned_walk(reference, k, x0, end, grid)))
    paths = walks(jax.random.split(jax.random.key(0), 4000))
    nodes, weights = sphere_nodes()
    for k in (10, 20, 30):
        want = pinned_mean(m, nodes, weights, x0, end, grid[k], total)
        error = np.asarray(paths[:, k].std(0)) / np.sqrt(4000)
        assert np.all(np.abs(np.asarray(paths[:, k].mean(0)) - want) < 0.01 + 4 * error)
    np.testing.assert_array_equal(paths[:, -1], np.broadcast_to(end, (4000, 3)))


def test_pinned_draws_on_the_torus():
    """Opposite points, where both ways round and several turns count; trapezoidal quadrature."""
    m, total, s = Torus(1), 5.0, 1.7
    reference = brownian_reference(m, total)
    x0, end = jnp.asarray([0.2]), jnp.asarray([-2.7])
    draw = quick(jax.vmap(lambda k: pinned_draw(reference, k, x0, end, jnp.asarray(s), total)))
    h = np.asarray(jax.vmap(m.embed)(draw(jax.random.split(jax.random.key(0), 40000))))
    nodes = jnp.asarray(-np.pi + 2 * np.pi * np.arange(400) / 400)[:, None]
    want = pinned_mean(m, nodes, np.ones(400), x0, end, jnp.asarray(s), total)
    assert np.all(np.abs(h.mean(0) - want) < 4 * h.std(0) / 200)


def test_pinned_draws_of_a_product_are_those_of_its_factors():
    m = Product(Euclidean(1), Torus(1))
    reference = brownian_reference(m, 2.0)
    start, end, s = jnp.asarray([0.0, 0.2]), jnp.asarray([1.0, 0.9]), jnp.asarray(0.5)
    draw = quick(jax.vmap(lambda k: pinned_draw(reference, k, start, end, s, 2.0)))
    x = np.asarray(draw(jax.random.split(jax.random.key(0), 40000)))[:, 0]
    # The flat bridge: mean 1·s/S, variance s(S − s)/S = 0.375.
    assert abs(x.mean() - 0.25) < 4 * np.sqrt(0.375 / 40000)
    assert abs(x.var() - 0.375) < 4 * 0.375 * np.sqrt(2 / 40000)


def test_time_grid():
    """The field is trained at the levels where samplers ask it: examples carry the level of their
    state, and a backward step from s_{k+1} to s_k asks at s_{k+1}."""
    bridge = DiffusionSchrodingerBridge(BROWNIAN, steps=4, baseline="none")
    a, b = gaussian_data(6)
    _, toward_b = bridge.fields(jax.random.key(0), a, b)
    grid = levels(bridge.total, 4)
    np.testing.assert_allclose(grid + grid[::-1], BROWNIAN.schedule.total, rtol=1e-14)
    x, r, h, target = bridge.examples(jax.random.key(1), toward_b, a, b, False)
    np.testing.assert_array_equal(r.reshape(6, 4), np.broadcast_to(grid[1:], (6, 4)))
    before = np.concatenate([np.asarray(a)[:, None], np.asarray(x).reshape(6, 4, 2)[:, :-1]], 1)
    np.testing.assert_allclose(
        np.asarray(x) + np.asarray(h)[:, None] * np.asarray(target), before.reshape(-1, 2),
        atol=1e-12,
    )  # fmt: skip

    still, ticking = (affine_field(bridge, None, Clock(jnp.asarray(a))) for a in (0.0, 1.0))
    key = jax.random.key(2)
    for sample in ("sample_backward", "sample_forward"):
        paths = []
        for field in (still, ticking):
            run = getattr(NetworkBridge(bridge.reference, field, field), sample)
            paths.append(np.asarray(run(key, a, steps=4, paths=True)))
        moved = np.diff(paths[1] - paths[0], axis=1)[0, :, 0]
        above = grid[:0:-1]
        scale = 1.0 / np.sqrt(above * (above + 1.0))  # unit variance at the ends
        np.testing.assert_allclose(moved, -np.diff(grid[::-1]) * scale * above, rtol=1e-9)


class Clock(eqx.Module):
    a: jax.Array

    def __call__(self, h, r):
        return self.a * jnp.full(2, 1.0) * r


def small(cls=DiffusionSchrodingerBridge, **kwargs):
    return cls(BROWNIAN, network=SMALL, steps=3, **kwargs)


FAST = {"steps": 6, "paths": 64, "refresh": 3, "batch_size": 32, "progress": False}


@pytest.mark.filterwarnings("ignore:Half-step")
def test_resumed_is_uninterrupted(tmp_path):
    """Bit for bit, through a file; and a saved bridge is the same bridge."""
    a, b = gaussian_data(64)
    bridge, key = small(baseline="iterates"), jax.random.key(0)
    whole, history = fit_bridge(bridge, a, b, key=key, half_steps=3, **FAST)
    fit_bridge(bridge, a, b, key=key, half_steps=2, out=tmp_path, **FAST)  # the same function
    again, resumed = fit_bridge(
        bridge, a, b, key=key, half_steps=3, out=tmp_path, resume=True, **FAST
    )
    same = jax.tree.map(np.array_equal, *(eqx.filter(m, eqx.is_array) for m in (whole, again)))
    assert all(jax.tree.leaves(same))
    for name in ("loss", "gap", "change", "simulated", "trained"):
        np.testing.assert_array_equal(getattr(history, name), getattr(resumed, name))
    assert resumed.toward == ("a", "b", "a")
    # Two simulations of 64 paths of 3 steps, and 6 batches of 32.
    assert json.loads(resumed.to_json())["simulated"] == [2 * 64 * 3] * 3
    assert history.trained.tolist() == [6 * 32] * 3
    save(tmp_path / "bridge.safetensors", whole)
    loaded = load(tmp_path / "bridge.safetensors")
    for sample, x in (("sample_forward", a), ("sample_backward", b)):
        np.testing.assert_array_equal(
            *(getattr(m, sample)(jax.random.key(1), x, steps=3) for m in (whole, loaded))
        )

    with pytest.raises(DifferentRun, match=r"settings\.learning_rate"):
        fit_bridge(bridge, a, b, key=key, out=tmp_path, resume=True, learning_rate=0.1, **FAST)
    with pytest.raises(FileExistsError, match="resume=True"):
        fit_bridge(bridge, a, b, key=key, out=tmp_path, **FAST)


@pytest.mark.slow
def test_a_bridge_between_gaussians_is_learned():
    """With the affine start the networks have nothing to learn and do no harm: covariance of the
    ends within 4 standard errors, 4·√(2/4000) of a variance, and 0.03 for the networks."""
    a, b = gaussian_data(4000)
    bridge, history = fit_bridge(
        small(BridgeMatching), a, b, key=jax.random.key(0), half_steps=2, steps=60, paths=512,
        batch_size=128, progress=False,
    )  # fmt: skip
    mean, cov = joint_iterates(BROWNIAN, a, b, 200)[-1]
    ends = jnp.concatenate([a, bridge.sample_forward(jax.random.key(1), a, steps=3)], axis=1)
    tolerance = 0.03 + 4 * np.sqrt(2 / 4000)
    np.testing.assert_allclose(np.cov(ends.T), cov, atol=tolerance)
    np.testing.assert_allclose(ends.mean(0), mean, atol=tolerance)
    # Nothing to learn: consecutive processes differ by few hundredths of a nat.
    assert np.all(history.change < 0.03)
    assert np.all(history.gap < 2.0 * np.max(history.floor))


def test_a_half_step_that_makes_things_worse_is_told():
    a, b = gaussian_data(512)
    with pytest.warns(UserWarning, match=r"Half-step \d \(towards [ab]\) left its marginal"):
        fit_bridge(
            small(), a, b, key=jax.random.key(0), half_steps=4, learning_rate=20.0, clip=None,
            check=False, **FAST,
        )  # fmt: skip


def test_transport_couplings_are_those_of_the_reference():
    """Between Gaussian laws the entropic plan is Gaussian with a known regression. Blocks of 256
    points are the plan between samples: within 5 standard errors of 4096 pairs and 0.03."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4096, 1)), 0.5 + 1.5 * rng.normal(size=(4096, 1))
    reference = brownian_reference(Euclidean(1), 1.0)
    partner = transport_coupling(reference, jax.random.key(0), jnp.asarray(x), jnp.asarray(y))
    # 1 × 1 case of the closed form of the cross-covariance: ½(√(4·S₀S₁ + s⁴) − s²).
    want = 0.5 * (np.sqrt(4 * 2.25 + 1.0) - 1.0)
    assert abs(np.cov(x[:, 0], np.asarray(partner)[:, 0])[0, 1] - want) < 0.03 + 5 * 1.5 / 64


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: small(baseline="affine"), "baseline"),
        (lambda: small(loss="score"), "loss"),
        (lambda: DiffusionSchrodingerBridge(BROWNIAN, steps=1), "steps must be"),
        (lambda: BridgeMatching(BROWNIAN, coupling="near"), "coupling"),
        (lambda: BridgeMatching(BROWNIAN, cut=0.7), "cut must be"),
        (lambda: BridgeMatching(Langevin(Euclidean(2))), "no closed transition"),
        (
            lambda: BridgeMatching(brownian_reference(SO3(), 1.0), baseline="gaussian"),
            "flat space",
        ),
        (
            lambda: fit_bridge(small(), np.zeros((8, 2)), np.zeros((3, 2)), key=jax.random.key(0)),
            "b: needs at least 4 points",
        ),
        (
            lambda: fit_bridge(
                small(), np.zeros((8, 2)), np.zeros((8, 2)), key=jax.random.key(0), resume=True
            ),
            "resume=True needs out",
        ),
    ],
)
def test_what_cannot_work_is_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):
        make()
