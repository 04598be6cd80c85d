"""Densities from the kernels that matter: against the sum over all kernels, and the bound."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles.edge_models import with_mixture
from projective_plane import ProjectivePlane

import scorefold as sf
from scorefold._blocks import device
from scorefold._compile import quick_jit, trace_settings
from scorefold.kernels import WrappedFamily, WrappedMixture, plain_law, truncated_log_prob
from scorefold.kernels.wrapped import truncated
from scorefold.kernels.wrapped.tails import Beyond, log_beyond
from scorefold.kernels.wrapped.tiles import log_kernel, side_by_side

SPHERE = sf.Sphere(2)
N, QUERIES = 3000, 100
MANIFOLDS = [SPHERE, sf.Euclidean(2), sf.Torus(3), sf.SO3(), sf.Hyperbolic(2),
             sf.Product(SPHERE, sf.Torus(1))]  # fmt: skip


@pytest.fixture(autouse=True)
def small_cells(monkeypatch):
    """Else hardly a cell of so few kernels could be left out."""
    monkeypatch.setattr(truncated, "_SIZE", 16)


def _dense(kernels, x):
    return jax.vmap(kernels.log_prob)(x)


def _reach(m, v, like):
    """exp at the origin of components v."""
    o = m.origin(like.dtype)
    return jax.vmap(lambda u: m.exp(o, m.from_components(o, u)))(v)


def dense(kernels, x):
    return np.asarray(quick_jit(_dense, level=0)(kernels, x), np.float64)


def places(m, v, dtype):
    return quick_jit(_reach, level=0)(m, jnp.asarray(v, dtype), jnp.zeros((), dtype))


def mixture(m, dtype, log_share=-4.0, n=N):
    """Kernels with widths over three orders of magnitude, weights over nine; where to ask."""
    rng = np.random.default_rng(3)
    d = m.dim
    start = rng.normal(size=(n, d)) * np.where(np.arange(n) % 3 == 0, 0.05, 0.9)[:, None]
    away = 2.5 if m.compact else 9.0
    far = rng.normal(size=(20, d))
    far = away * far / np.linalg.norm(far, axis=1, keepdims=True)
    # Queries: beside kernels, at centres, far from all.
    at = [start[: QUERIES - 30] + 0.01 * rng.normal(size=(QUERIES - 30, d)), start[7:17], far]
    points = places(m, np.concatenate([start, *at]), dtype)
    z = points[:n]
    axes = np.linalg.qr(rng.normal(size=(n, d, d)))[0]
    std = np.exp(rng.uniform(np.log(4e-4), np.log(0.5), n))[:, None]
    std = std * rng.uniform(0.3, 1.0, (n, d))
    log_w = rng.uniform(-20.0, 0.0, n)
    log_w[:5] = -np.inf
    log_w -= np.log(np.exp(log_w).sum())
    parts = (jnp.asarray(a, dtype) for a in (axes, std**2, log_w))
    kernels = WrappedMixture(m, plain_law(m, z), z, *parts, jnp.asarray(log_share, dtype))
    return kernels, points[n:]


@pytest.mark.parametrize("m", MANIFOLDS, ids=lambda m: m.name)
def test_against_all_kernels(m):
    """The relative error is at most the bound returned, and the bound at most rtol. Float64,
    whose rounding (1e-9 allowed: far out on H², cosh r has eight digits) is far below both."""
    kernels, x = mixture(m, jnp.float64)
    want = dense(kernels, x)
    for rtol in (1e-3, 1e-7):
        log_prob, bound = (np.asarray(a) for a in truncated_log_prob(kernels, x, rtol=rtol))
        missing = -np.expm1(log_prob - want)
        assert np.all(missing >= -1e-9) and np.all(missing <= bound + 1e-9)
        assert np.all(bound <= rtol) and log_prob.dtype == np.float64
        assert bound.max() > 1e-3 * rtol  # something was left out


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("m", [*MANIFOLDS, ProjectivePlane(), sf.Torus(13)], ids=lambda m: m.name)
def test_a_kernel_number_by_number(m, dtype):
    """``log_kernel`` and its gradient against those of the family, from a thousandth of a standard
    deviation to the cut locus less 0.03; at most by the rounding of −½v²/σ², 10 units of it."""
    rng = np.random.default_rng(1)
    n, d = 300, m.dim
    reach = min(m.injectivity_radius - 0.03, 6.0)
    size = np.concatenate([np.geomspace(1e-4, reach, n - 50), reach - np.geomspace(1e-4, 0.3, 50)])
    u = rng.normal(size=(n, d))
    u = size[:, None] * u / np.linalg.norm(u, axis=1, keepdims=True)
    z = places(m, 0.4 * rng.normal(size=(n, d)), dtype)
    std = jnp.asarray(np.exp(rng.uniform(np.log(0.1), np.log(0.6), (n, d))), dtype)
    axes = jnp.asarray(np.linalg.qr(rng.normal(size=(n, d, d)))[0], dtype)
    x = jax.vmap(lambda z, u: m.exp(z, m.from_components(z, u)))(z, jnp.asarray(u, dtype))

    def family(x, z, axes, std):
        return WrappedFamily().log_prob(m, x, z, axes, std * std, None)

    def numbers(x, z, axes, std):
        level = -jnp.sum(jnp.log(std)) - 0.5 * d * math.log(2.0 * math.pi)
        return log_kernel(m, x, z, axes / std[:, None], level)

    def both(*a):
        each = [jax.value_and_grad(f)(*a) for f in (family, numbers)]
        return [(value, m.gradient(a[0], slope)) for value, slope in each]

    found = quick_jit(jax.vmap(both), level=0)(x, z, axes, std)
    (want, slope), (got, other) = (tuple(np.asarray(b, np.float64) for b in a) for a in found)
    far = np.linalg.norm(u / np.asarray(std).min(1, keepdims=True), axis=1)
    coordinates = np.abs(np.asarray(x)).max() if not m.compact else 1.0
    unit = 10.0 * float(jnp.finfo(dtype).eps) * max(1.0, coordinates)
    assert np.all(np.abs(got - want) <= unit * (far + 1.0) ** 2 + 4.0 * unit)
    steep = np.abs(slope).reshape(n, -1).max(1)
    gap = np.abs(other - slope).reshape(n, -1).max(1)
    assert np.all(gap <= 10.0 * unit * (1.0 + steep) * (1.0 + far))


def test_most_kernels_are_left_out(monkeypatch):
    """Narrow kernels: fewer than a tenth of all pairs are evaluated. One seen nowhere near."""
    kernels, x = mixture(SPHERE, jnp.float64)
    narrow = eqx.tree_at(lambda k: k.variances, kernels, 1e-3 * kernels.variances)
    seen = []
    sums = truncated.tile_sums

    def counted(m, cells, x, points, of):
        seen.append(len(points))
        return sums(m, cells, x, points, of)

    monkeypatch.setattr(truncated, "tile_sums", counted)
    log_prob, bound = truncated_log_prob(narrow, x)
    missing = -np.expm1(np.asarray(log_prob) - dense(narrow, x))
    assert np.all(missing <= np.asarray(bound) + 1e-11) and np.all(missing >= -1e-11)
    assert sum(seen) * truncated._SIZE < 0.3 * N * QUERIES
    # Antipodes of the centres see the background alone: 1/4π with its share.
    alone = np.asarray(log_prob)[-20:]
    assert np.min(np.abs(alone - (-4.0 - np.log(4.0 * np.pi)))) < 1e-3


@pytest.mark.parametrize("m", MANIFOLDS, ids=lambda m: m.name)
def test_single_precision_and_almost_no_background(m):
    """Float32 with a background of share e^{-60}, so that far points live on tails: against
    all kernels in float32. What differs are the order of sums and the rounding of v (1e-4, and ten
    units in the last place of −½v²/σ²; far out on H², where cosh r is 4000 and both are off by
    up to 8·10⁻³ nats, 500)."""
    kernels, x = mixture(m, jnp.float32, log_share=-60.0)
    log_prob, bound = truncated_log_prob(kernels, x)
    want = dense(kernels, x)
    assert log_prob.dtype == bound.dtype == jnp.float32
    missing = -np.expm1(np.asarray(log_prob, np.float64) - want)
    unit = float(jnp.finfo(jnp.float32).eps) * np.abs(want)
    unit = np.where(np.abs(x).max(-1) > 100.0, 500.0, 10.0) * unit if x.ndim == 2 else 10.0 * unit
    assert np.all(np.abs(missing) <= np.asarray(bound) + 1e-4 + unit)


@pytest.mark.parametrize("m", [SPHERE, sf.SO3(), sf.Product(SPHERE, sf.SO3(), sf.Euclidean(1))],
                         ids=lambda m: m.name)  # fmt: skip
def test_the_bound_on_tails_is_a_supremum(m):
    """Oracle: the largest of 2·10⁵ random vectors with |v| ≥ R, which never exceeds the bound
    and, on a single factor, comes close to it."""
    rng = np.random.default_rng(0)
    eps = 1e-3
    ends = [np.pi - eps] if m is SPHERE else [np.pi] if m.dim == 3 else [np.pi - eps, np.pi, 9.0]
    r = rng.uniform(0.0, 1.0, (200_000, len(ends))) * np.asarray(ends)[None]
    r[:1000] = np.asarray(ends)[None] * rng.integers(0, 2, (1000, len(ends)))
    bend = {"S^2": lambda u: -np.log(np.sinc(u / np.pi)),
            "SO(3)": lambda u: -2.0 * np.log(np.sinc(u / 2 / np.pi)),
            "R^1": lambda u: 0.0 * u}  # fmt: skip
    names = [f.name for f in getattr(m, "factors", (m,))]
    total = np.sqrt((r**2).sum(1))
    for std in (0.3, 0.6, 1.2):
        level = -0.5 * total**2 / std**2 + sum(bend[a](u) for a, u in zip(names, r.T, strict=True))
        for radius in (0.1, 1.0, 2.0, 3.0):
            best = level[total >= radius].max()
            bound = float(log_beyond(m, np.asarray([radius]), std, eps)[0])
            assert best <= bound + 1e-9
            assert len(ends) > 1 or bound - best < 0.02


@pytest.mark.parametrize("m", MANIFOLDS, ids=lambda m: m.name)
def test_lines_above_the_bound_on_tails(m):
    """max(a − k R², c) is nowhere below log_beyond of the law itself, and not far above where that
    is not negligible: by a tenth, and 0.5 nats."""
    std = np.asarray([3e-4, 0.02, 0.13, 0.3, 0.5, 2.0])
    top, slope, least = Beyond.of(m, std, 1e-7)
    for s, a, k, c in zip(std, top, slope, least, strict=True):
        radius = np.linspace(0.0, min(m.diameter, 20.0 * s), 777)
        bound = np.maximum(a - k * radius**2, c)
        want = log_beyond(m, radius, float(s), 1e-7)
        assert np.all(bound >= want)
        if s < 0.2:
            near = want > -50.0
            assert np.all(bound[near] <= 0.9 * want[near] + 0.5)


def test_the_model_uses_it_where_it_costs_less(monkeypatch):
    kernels, x = mixture(SPHERE, jnp.float64)
    model = with_mixture(kernels)
    exact = dense(kernels, x)
    np.testing.assert_allclose(model.log_prob(x), exact, rtol=0, atol=1e-11)
    for cost in ("_SETUP", "_KERNEL"):
        monkeypatch.setattr(truncated, cost, 0.0)
    less = exact - np.asarray(model.log_prob(x))
    assert np.all(less > -1e-11) and 0 < less.max() < 1e-4
    # Kernels as wide as the space: every point sees all of them, whatever is asked in trees.
    wide = eqx.tree_at(lambda m: m.mixture.variances, model, jnp.full_like(kernels.variances, 0.3))
    np.testing.assert_allclose(wide.log_prob(x), dense(wide.mixture, x), rtol=0, atol=1e-11)


def test_in_many_dimensions_it_is_counted(monkeypatch):
    """On T^13 kernels that all matter are summed as a whole, narrow ones in cells."""
    for cost in ("_SETUP", "_KERNEL"):
        monkeypatch.setattr(truncated, cost, 0.0)
    kernels, x = mixture(sf.Torus(13), jnp.float64, n=400)
    alike = jnp.full_like(kernels.log_weights, -math.log(400.0))
    kernels = eqx.tree_at(lambda k: k.log_weights, kernels, alike)
    wide, narrow = (
        eqx.tree_at(lambda k: k.variances, kernels, jnp.full_like(kernels.variances, v))
        for v in (1.0, 1e-4)
    )
    assert truncated.cheaper_log_prob(wide, x, rtol=1e-4) is None
    less = dense(narrow, x) - np.asarray(truncated.cheaper_log_prob(narrow, x, rtol=1e-4))
    assert np.all(less > -1e-9) and less.max() < 1e-4


def test_arguments():
    kernels, _ = mixture(SPHERE, jnp.float64, n=600)
    with pytest.raises(ValueError, match="rtol"):
        truncated_log_prob(kernels, kernels.centres, rtol=0.0)
    with pytest.raises(ValueError, match="x: "):
        truncated_log_prob(kernels, np.ones((4, 2)))
    assert truncated_log_prob(kernels, kernels.centres[0])[0].shape == ()


def test_contexts_of_jax_reach_every_block():
    """Settings that hold in this thread alone hold for all calls: none is made in another then."""
    with jax.enable_x64(False):
        seen = side_by_side(lambda i: (trace_settings(), device(np.zeros(2)).dtype), range(9))
        assert {dtype.name for _, dtype in seen} == {"float32"}
        assert {settings for settings, _ in seen} == {trace_settings()}
    assert len({str(s) for s in side_by_side(lambda i: trace_settings(), range(9))}) == 1
