"""Laws of bridges: moving an end moves it and changes no coupling, a unit scales everything,
exchanging the ends reverses, an isometry of both carries over; transformations of JAX agree with
plain calls; what misses its end is said, and what does not is not."""

import functools
import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projective_plane import ProjectivePlane

from scorefold import NetworkSpec
from scorefold._warnings import ScorefoldWarning
from scorefold.bridges import (
    BridgeMatching,
    BridgeUnits,
    DiffusionSchrodingerBridge,
    FittedHeatPotential,
    FittedLightBridge,
    GaussianBridge,
    GaussianPotential,
    LightBridge,
    MixturePotential,
    MixturePotentialBridge,
    MultiMarginalBridge,
    SpectralBridge,
    brownian_reference,
    end_gap,
    fit_bridge,
    interpolate_snapshots,
    spline_paths,
    transport,
)
from scorefold.bridges.arrivals import check_ends
from scorefold.bridges.light.origins import made_origins
from scorefold.manifolds import SO3, Euclidean, Product, Sphere, Torus
from scorefold.noising import Constant, OrnsteinUhlenbeck


def some(names, *fast):
    """All ``names``; those that are not ``fast`` are slow."""
    return [n if n in fast else pytest.param(n, marks=pytest.mark.slow) for n in names]


LAW = settings(max_examples=6, deadline=None, derandomize=True)
FAR = st.sampled_from([0.0, 3.0, -1e3, 1e6])
UNIT = st.sampled_from([1e-9, 1e-3, 1.0, 0.37, 1e9])
S, N = 0.3, 60
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(N, 2)), 0.5 * RNG.normal(size=(N, 2)) + 1.0
KEY = jax.random.key(0)
TINY = NetworkSpec(width=8, depth=2, fourier=0)
SIX = GaussianPotential(6)
FITS = {
    "light": (lambda r: LightBridge(r, potential=SIX, blur=0.02 * r.schedule.total),
              {"steps": 12, "batch_size": 32}),
    "matching": (lambda r: BridgeMatching(r, network=TINY, steps=4),
                 {"half_steps": 2, "steps": 4, "paths": 32, "batch_size": 16}),
    "dsb": (lambda r: DiffusionSchrodingerBridge(r, network=TINY, steps=4),
            {"half_steps": 2, "steps": 4, "paths": 32, "batch_size": 16}),
}  # fmt: skip


def fitted(name, first=0.0, last=0.0, unit=1.0):
    make, more = FITS[name]
    reference = brownian_reference(Euclidean(2), S * unit**2)
    a, b = (A + first) * unit, (B + last) * unit
    return fit_bridge(make(reference), a, b, key=KEY, progress=False, check=False, **more)[0]


MOVED = (40.0, 1e4, 1e-9)


@functools.cache
def learned(name):
    """A kind fitted to the same ends where they are, and where they are far apart and tiny."""
    return fitted(name), fitted(name, *MOVED)


# -- translation and scale -------------------------------------------------------------------------
MEANS = np.array([[0.3, -0.2], [0.9, 0.5]])
COVS = np.array([[[1.0, 0.3], [0.3, 0.5]], [[0.6, -0.3], [-0.3, 1.5]]])


def gaussian(kind, first=0.0, last=0.0, unit=1.0):
    if kind == "brownian":
        reference = brownian_reference(Euclidean(2), S * unit**2)
    else:  # moves with the first end
        location = (np.array([0.3, -0.2]) + first) * unit
        reference = OrnsteinUhlenbeck(2, Constant(S * unit**2), location=location, std=1.2 * unit)
    means = (MEANS + np.array([[first], [last]])) * unit
    return GaussianBridge(reference, means[0], COVS[0] * unit**2, means[1], COVS[1] * unit**2)


@pytest.mark.parametrize("kind", ["brownian", "drift"])
@LAW
@given(first=FAR, apart=FAR, unit=UNIT)
def test_normal_laws_move_and_scale_exactly(kind, first, apart, unit):
    """Both ends moved, one by more than the other, and everything in another unit: draws move with
    their ends, densities around the mean change by −d log k, drifts by what moves the mean: to
    rounding of the largest number there is, in float64."""
    base, moved = gaussian(kind), gaussian(kind, first, first + apart, unit)
    far = 1.0 + abs(first) + abs(apart)
    before = np.asarray(base.sample_forward(KEY, A[:4], steps=3))
    after = np.asarray(moved.sample_forward(KEY, (A[:4] + first) * unit, steps=3)) / unit
    np.testing.assert_allclose(after - (first + apart), before, atol=1e-13 * far)
    x = base.law(0.4).mean + A[:4]
    y = moved.law(0.4).mean + A[:4] * unit
    gap = moved.log_prob(0.4, y) + 2 * math.log(unit) - base.log_prob(0.4, x)
    assert np.abs(np.asarray(gap)).max() < 1e-12 * far
    for name in ("drift", "velocity"):
        change = getattr(moved, name)(0.4, y) / unit - getattr(base, name)(0.4, x)
        assert np.abs(change - change[:1]).max() < 1e-12 * far
    change = moved.score(0.4, y) * unit - base.score(0.4, x)
    assert np.abs(np.asarray(change)).max() < 1e-12 * far
    np.testing.assert_allclose(moved.cross / unit**2, base.cross, rtol=1e-9)


@LAW
@given(shift=FAR, unit=UNIT)
def test_mixture_potentials_move_and_scale(shift, unit):
    """The same for a mixture potential, both ends moved alike."""

    def make(shift, unit):
        psi, phi = (
            MixturePotential(np.log([0.4, 0.6]), (m + shift) * unit, COVS * unit**2)
            for m in (MEANS, MEANS[::-1] - 1.0)
        )
        return MixturePotentialBridge(brownian_reference(Euclidean(2), S * unit**2), psi, phi=phi)

    base, moved, far = make(0.0, 1.0), make(shift, unit), 1.0 + abs(shift)
    y = (A[:4] + shift) * unit
    gap = moved.log_prob(0.4, y) + 2 * math.log(unit) - base.log_prob(0.4, A[:4])
    assert np.abs(np.asarray(gap)).max() < 1e-11 * far
    there = np.asarray(moved.sample_conditional(KEY, y)) / unit - shift
    np.testing.assert_allclose(there, base.sample_conditional(KEY, A[:4]), atol=1e-11 * far)
    drift = np.asarray(moved.drift(0.4, y)) / unit
    np.testing.assert_allclose(drift, base.drift(0.4, A[:4]), atol=1e-11 * far)


@pytest.mark.parametrize("name", some(FITS, "light"))
def test_learned_bridges_move_and_scale(name):
    """A moved by 40, B by 10⁴ and both in units of 10⁻⁹: what is learned in coordinates of its own
    is the same up to rounding (which training may magnify: 1e-5), so draws, paths, drifts and
    densities are those of the bridge that was not moved."""
    (base, moved), (first, last, unit) = learned(name), MOVED
    x = (A[:5] + first) * unit
    for way, start, end, far in (("forward", first, last, A), ("backward", last, first, B)):
        draw = f"sample_{way}"
        before = np.asarray(getattr(base, draw)(KEY, far[:5], steps=4))
        after = np.asarray(getattr(moved, draw)(KEY, (far[:5] + start) * unit, steps=4))
        np.testing.assert_allclose(after / unit - end, before, atol=1e-5)
    paths = np.asarray(moved.sample_forward(KEY, x, steps=4, paths=True)) / unit
    before = np.asarray(base.sample_forward(KEY, A[:5], steps=4, paths=True))
    share = np.asarray(moved.grid(4, jnp.float64)) / moved.total
    middle = first + share * (last - first)
    np.testing.assert_allclose(paths - middle[None, :, None], before, atol=1e-5)
    # Levels of the caller's: equal ones, in the units of the points.
    even = np.linspace(0.0, 1.0, 4)
    states = [
        np.asarray(b.sample_forward(KEY, x, paths=True, grid=even * b.total))
        for b, x in ((base, A[:5]), (moved, x))
    ]
    middle = first + even * (last - first)
    np.testing.assert_allclose(states[1] / unit - middle[None, :, None], states[0], atol=1e-5)
    for wrong in (even[::-1] * base.total, even, "abc", [0.0, np.nan, base.total]):
        with pytest.raises(ValueError, match="grid: needs increasing variance-times"):
            base.sample_backward(KEY, B[:5], grid=wrong)
    with pytest.raises(TypeError, match="grid: levels are to be numbers, not traced"):
        jax.jit(lambda g: base.sample_forward(KEY, A[:5], grid=g))(even * base.total)
    at = 0.5 * (first + last)
    speed = np.asarray(moved.velocity(0.5, (A[:5] + at) * unit)) / unit - (last - first)
    np.testing.assert_allclose(speed, base.velocity(0.5, A[:5]), atol=1e-4)
    if name == "light":
        gap = moved.log_prob(0.5, (A[:5] + at) * unit) + 2 * math.log(unit)
        np.testing.assert_allclose(gap, base.log_prob(0.5, A[:5]), atol=1e-4)
        one, two = moved.conditional(x[0]), base.conditional(A[0])
        np.testing.assert_allclose(one.centres / unit - last, two.centres, atol=1e-4)
        held = (B[:5, :1] + last) * unit
        given_x = np.asarray(moved.sample_given(KEY, x, [0], held)) / unit - last
        np.testing.assert_allclose(
            given_x, base.sample_given(KEY, A[:5], [0], B[:5, :1]), atol=1e-4
        )
    # What the metrics ask for, at single points: ∇ log ψ and ∇ log φ of the moved bridge.
    one = jnp.asarray((A[0] + at) * unit)
    s = jnp.asarray(0.5 * moved.total)
    drift = moved.forward(one, s) * moved.total / unit
    np.testing.assert_allclose(drift, np.asarray(moved.drift(0.5, one)) / unit, rtol=1e-6)


def test_plans_of_points_do_not_depend_on_where_they_are():
    reference = brownian_reference(Euclidean(2), S)
    plan, far = transport(reference, A, B), transport(reference, A - 1e5, B + 1e6)
    np.testing.assert_allclose(far.log_plan, plan.log_plan, atol=1e-6)
    apart = ((A[:, None] - 1e5 - B[None] - 1e6) ** 2).sum(-1) / (2 * S) + math.log(2 * np.pi * S)
    np.testing.assert_allclose(far.costs, apart, rtol=1e-9)


def test_many_snapshots_move_and_scale():
    """Paths through three normal snapshots that lie 10⁵ apart, in units of 10⁻⁶."""

    def through(shift, unit):
        middles = np.array([0.0, 1.0, 2.0]) * shift
        laws = [((m + MEANS[k % 2]) * unit, COVS[k % 2] * unit**2) for k, m in enumerate(middles)]
        reference = brownian_reference(Euclidean(2), S * unit**2)
        pieces = [GaussianBridge(reference, *laws[k], *laws[k + 1]) for k in range(2)]
        starts = [(A + m) * unit for m in middles[:2]]
        return MultiMarginalBridge((0.0, 1.0, 2.0), pieces, starts)

    base, moved = through(0.0, 1.0), through(1e5, 1e-6)
    at = [0.5, 1.0, 1.75, 2.0]
    before = np.asarray(base.sample_paths(KEY, A[:4], at, steps=4))
    after = np.asarray(moved.sample_paths(KEY, A[:4] * 1e-6, at, steps=4)) * 1e6
    np.testing.assert_allclose(after - 1e5 * np.array(at)[None, :, None], before, atol=1e-6)
    there = np.asarray(moved.sample_at(KEY, 1.5, 5, steps=4)) * 1e6 - 1.5e5
    np.testing.assert_allclose(there, base.sample_at(KEY, 1.5, 5, steps=4), atol=1e-6)


def test_interpolations_and_splines_move():
    """Snapshots that lie 10⁶ away, pairs and splines through them: moved by that, to rounding."""
    clouds = [A[:6], B[:6], A[6:12] + 2.0]
    for make in (
        lambda c: interpolate_snapshots(Euclidean(2), (0, 1, 2), c, key=KEY, rate=0.1),
        lambda c: spline_paths(Euclidean(2), (0.0, 1.0, 2.0), c, 0.1, key=KEY),
    ):
        near, far = make(clouds), make([c + 1e6 for c in clouds])
        drawn = np.asarray(far.sample_at(KEY, 1.3, 8)) - 1e6
        np.testing.assert_allclose(drawn, near.sample_at(KEY, 1.3, 8), atol=1e-8)


def test_flat_factors_of_a_product_are_centred_alone():
    """On S² × R¹ the height has an origin at either end and keeps its unit; points of the sphere
    are as they were."""
    manifold = Product(Sphere(2), Euclidean(1))
    reference = brownian_reference(manifold, S)
    points = np.concatenate([np.eye(3)[[0, 1, 2, 0]], np.arange(4.0)[:, None]], axis=1)
    up = np.array([0, 0, 0, 1e6])
    units = BridgeUnits.of(reference, points, points + up)
    assert units.scale == 1.0
    np.testing.assert_allclose(units.start, [0, 0, 0, 1.5])
    np.testing.assert_allclose(units.end, [0, 0, 0, 1.5 + 1e6])
    inside = units.enter(reference, points + up, reference.schedule.total, "x")
    np.testing.assert_allclose(inside, points - [0, 0, 0, 1.5])
    assert BridgeUnits.of(brownian_reference(Torus(2), S), A, B) is None


# -- reversal and isometries -----------------------------------------------------------------------
def test_exchanging_the_ends_reverses():
    """Forward and backward factors change places; the law at t is that at 1 − t."""
    reference = brownian_reference(Euclidean(2), S)
    there = GaussianBridge(reference, MEANS[0], COVS[0], MEANS[1], COVS[1])
    back = GaussianBridge(reference, MEANS[1], COVS[1], MEANS[0], COVS[0])
    np.testing.assert_allclose(there.log_prob(0.3, A), back.log_prob(0.7, A), atol=1e-12)
    x, s = jnp.asarray(A[0]), jnp.asarray(0.2 * S)
    np.testing.assert_allclose(there.forward(x, s), back.backward(x, S - s), atol=1e-12)
    np.testing.assert_allclose(there.velocity(0.3, A), -back.velocity(0.7, A), atol=1e-12)
    plan, turned = transport(reference, A, B), transport(reference, B, A)
    np.testing.assert_allclose(jnp.exp(plan.log_plan).T, jnp.exp(turned.log_plan), atol=1e-9)


def near(manifold, n, spread, seed):
    o = manifold.origin(jnp.float64)
    keys = jax.random.split(jax.random.key(seed), n)
    return jax.vmap(lambda k: manifold.exp(o, spread * manifold.normal(k, o)))(keys)


def light(manifold, move=lambda x: x):
    """Two kernels and two origins, carried along by an isometry; nothing trained."""
    centres, origins = (jax.vmap(move)(near(manifold, 2, 0.7, k)) for k in (0, 1))
    potential = FittedHeatPotential(
        jnp.log(jnp.array([0.6, 0.4])), centres, jnp.array([0.06, 0.21])
    )
    reference = brownian_reference(manifold, S)
    start = made_origins(reference, potential, origins, jnp.array([0.05, 0.1]))
    return FittedLightBridge(reference, potential, start)


TURN = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
TURN = TURN * np.linalg.det(TURN)
ISOMETRIES = {
    "S^2": (Sphere(2), lambda x: jnp.asarray(TURN, x.dtype) @ x),
    "SO(3)": (SO3(), lambda x: jnp.asarray(TURN, x.dtype) @ x),
    "RP^2": (ProjectivePlane(), lambda x: -jnp.asarray(TURN, x.dtype) @ x),
    "T^2": (Torus(2), lambda x: jnp.mod(x + jnp.asarray([2.0, -1.0], x.dtype) + np.pi,
                                        2 * np.pi) - np.pi),
}  # fmt: skip


@pytest.mark.parametrize("space", some(ISOMETRIES, "S^2"))
def test_isometries_of_both_ends_carry_over(space):
    """Closed forms, to rounding: the density at moved points is that at the points."""
    manifold, move = ISOMETRIES[space]
    x = near(manifold, 3, 0.5, 2)
    before = light(manifold).log_prob(0.4, x)
    after = light(manifold, move).log_prob(0.4, jax.vmap(move)(x))
    np.testing.assert_allclose(after, before, atol=1e-9)


# -- transformations -------------------------------------------------------------------------------
KINDS = {
    "gaussian": lambda: gaussian("brownian"),
    "light": lambda: learned("light")[0],
    "matching": lambda: learned("matching")[0],
    "dsb": lambda: learned("dsb")[0],
    "mixture": lambda: MixturePotentialBridge(
        brownian_reference(Euclidean(2), S),
        MixturePotential(np.log([0.4, 0.6]), MEANS, COVS),
        phi=MixturePotential(np.zeros(1), MEANS[:1] - 1, COVS[:1]),
    ),
    "spectral": lambda: SpectralBridge(
        brownian_reference(Torus(1), 0.8),
        lambda z: np.cos(z[:, 0]),
        lambda z: -np.cos(z[:, 0]),
        degree=16,
    ),
}


@pytest.mark.fault(47, "methods of bridges under jit, vmap and grad")
@pytest.mark.parametrize("name", some(KINDS, "gaussian"))
def test_transformations_agree_with_plain_calls(name):
    """jit, vmap over single points, traced times, and gradients where there is a density."""
    bridge = KINDS[name]()
    x = jnp.asarray(A[:3, : bridge.manifold.dim])
    for method in ("drift", "velocity", "score", "log_prob"):
        if not hasattr(bridge, method):
            continue
        plain = getattr(bridge, method)
        want = np.asarray(plain(0.4, x))
        traced = jax.jit(plain)(jnp.asarray(0.4), x)
        np.testing.assert_allclose(traced, want, atol=1e-9, err_msg=method)
        one = jax.vmap(lambda y, f=plain: f(0.4, y))(x)
        np.testing.assert_allclose(one, want, atol=1e-9, err_msg=method)
    if hasattr(bridge, "log_prob"):
        slope = jax.grad(lambda y: bridge.log_prob(0.4, y))(x[0])
        np.testing.assert_allclose(slope, bridge.score(0.4, x[0]), atol=1e-8)
    draw = lambda k, y: bridge.sample_forward(k, y, steps=4)  # noqa: E731
    np.testing.assert_allclose(jax.jit(draw)(KEY, x), draw(KEY, x), atol=1e-9)
    if name == "light":
        couple = jax.jit(lambda k, y: bridge.couple(k, y))(KEY, x)
        np.testing.assert_allclose(couple, bridge.couple(KEY, A[:3]), atol=1e-9)


@pytest.mark.slow
def test_flows_agree_with_plain_calls():
    plain = gaussian("brownian")
    law = lambda y: plain.end.log_prob(y)  # noqa: E731
    flow = jax.jit(lambda t, y: plain.flow_log_prob(t, y, law))(
        jnp.asarray(0.4), jnp.asarray(A[:2])
    )
    np.testing.assert_allclose(flow, plain.flow_log_prob(0.4, A[:2], law), atol=1e-6)


# -- ends ------------------------------------------------------------------------------------------
SPACES = {"R^2": (Euclidean(2), 1.0), "R^20": (Euclidean(20), 1.0), "S^2": (Sphere(2), 0.6),
          "T^2": (Torus(2), 0.8), "SO(3)": (SO3(), 0.8),
          "RP^2": (ProjectivePlane(), 0.3)}  # fmt: skip


@pytest.mark.fault(46, "right ends and wrong ends, every space")
@pytest.mark.parametrize("space", some(SPACES, "R^2"))
def test_right_ends_are_not_accused_and_wrong_ones_are(space):
    """Two samples of one law, 400 points each: no alarm in 12 draws (the floor is 5 deviations
    above the mean). Moved by about half a deviation along one direction: an
    alarm every time."""
    manifold, spread = SPACES[space]
    both = np.asarray(near(manifold, 12 * 400, spread, 3))
    real = np.asarray(near(manifold, 400, spread, 4))
    parts = both.reshape(12, 400, *manifold.shape)
    gaps = [end_gap(manifold, part, real, learned_from=400) for part in parts]
    assert not any(gap.missed for gap in gaps)
    o = manifold.origin(jnp.float64)
    along = manifold.frame(o)[0]

    def moved(p):
        return manifold.exp(p, 0.6 * spread * manifold.to_tangent(p, along))

    for part in parts[:3]:
        assert end_gap(manifold, jax.vmap(moved)(jnp.asarray(part)), real).missed
    few = end_gap(manifold, both[:5], real)
    assert few.missed is None and few.value is None


@pytest.mark.fault(46, "an end that is thin along no axis, or has no spread along one")
def test_a_thin_end_is_seen_in_any_axes():
    """Points of a hyperplane in R^5, turned; drawn ones have 0.1 across it where real ones have
    1e-3, as seen: 100 deviations. A column without spread counts as well. The floor does not grow
    with the miss."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    real = (rng.normal(size=(400, 5)) * [1, 1, 1, 1, 1e-3]) @ turn.T
    drawn = real[:200] + 0.1 * rng.normal(size=(200, 1)) * turn[:, -1]
    gap = end_gap(Euclidean(5), drawn, real[200:])
    assert 60 < gap.value < 100 and gap.missed and gap.floor < 1.0
    assert not end_gap(Euclidean(5), real[:200], real[200:]).missed
    line = np.stack([rng.normal(size=300), np.zeros(300)], axis=1)
    assert end_gap(Euclidean(2), line[:150] + np.array([0.0, 0.1]), line[150:]).missed
    assert not end_gap(Euclidean(2), line[:150], line[150:]).missed


@pytest.mark.fault(46, "a bridge whose drawn end misses")
def test_a_bridge_that_misses_is_told_of_after_the_fit():
    """The right ends pass; the same bridge beside an end that lies 0.6 deviations away is told of,
    with the size of the miss and its side."""
    own = learned("light")[0].inner
    a, b = (jnp.concatenate([x, x + 0.01]) for x in (own.start.points, own.start.points))
    drawn = own.walks("forward", jax.random.split(KEY, len(a)), a, own.grid(4, a.dtype), False)
    assert not end_gap(own.manifold, drawn, drawn).missed
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        check_ends(own, KEY, a, b + 3.0, None)
    assert {w.category for w in said} == {ScorefoldWarning}
    assert any("misses its end b: points carried there are" in str(w.message) for w in said)


def test_too_few_points_to_compare_ends_are_told():
    own = learned("light")[0].inner
    with pytest.warns(ScorefoldWarning, match="not compared with the data: 7 and 60 points"):
        check_ends(own, KEY, own.start.points[:7], own.start.points[:64], None)


def test_noise_that_rounding_hides_is_refused():
    """S = 1e-16 beside ends of size 1 in float32: an error that says so."""
    a, b = A.astype(np.float32), B.astype(np.float32)
    with pytest.raises(ValueError, match="below what float32 tells apart"):
        fit_bridge(LightBridge(brownian_reference(Euclidean(2), 1e-16)), a, b, key=KEY)
