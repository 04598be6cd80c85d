"""Float32 on the device against float64 of NumPy and SciPy, and against the tables of high
precision: matrix units that round factors to 11 bits would be off by 5e-4."""

import functools
import json
import math
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.special import logsumexp

import scorefold as sf
from scorefold.heat import HyperbolicProfile, SO3Profile, SphereProfile
from scorefold.kernels import WrappedMixture
from scorefold.noising import UniformReference

ORACLES = Path(__file__).parent.parent / "oracles"
N = 512


def on_device(function, *args):
    """Float64 of what the device computes in float32, a point a row."""
    rows = [jnp.asarray(a, jnp.float32) for a in args]
    found = jax.jit(jax.vmap(function))(*rows)
    return jax.tree.map(lambda a: np.asarray(a, np.float64), found)


def single(a):
    """The numbers that float32 holds, in float64."""
    return np.asarray(a, np.float32).astype(np.float64)


def unit(rng, d):
    x = rng.normal(size=(N, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def close(found, exact, eps):
    """Within ``eps`` units of rounding of float32."""
    bound = eps * np.finfo(np.float32).eps
    assert np.abs(found - exact).max() <= bound, np.abs(found - exact).max() / bound * eps


@pytest.mark.parametrize("d", [2, 3, 5])
def test_spheres(d):
    """exp by cosine and sine, distances by 2 arctan(|x − y|/|x + y|)."""
    rng, m = np.random.default_rng(d), sf.Sphere(d)
    x, y = single(unit(rng, d + 1)), single(unit(rng, d + 1))
    v = rng.normal(size=x.shape)
    v = single(v - np.sum(v * x, 1, keepdims=True) * x)
    size = np.linalg.norm(v, axis=1, keepdims=True)
    apart = [np.linalg.norm(x + sign * y, axis=1) for sign in (-1, 1)]
    distance = 2 * np.arctan2(*apart)
    across = y - np.sum(x * y, 1, keepdims=True) * x
    log = distance[:, None] * across / np.linalg.norm(across, axis=1, keepdims=True)
    close(on_device(m.exp, x, v), np.cos(size) * x + np.sin(size) / size * v, 8)
    close(on_device(m.dist, x, y), distance, 8)
    # log is badly conditioned where y is near −x.
    keep = distance < 3.0
    close(on_device(m.log, x, y)[keep], log[keep], 100)


def test_rotations():
    """SciPy's rotations: exp(R, R·hat w) = R exp(hat w), and the angle between two."""
    rng, m = np.random.default_rng(0), sf.SO3()
    x, y = (Rotation.from_quat(unit(rng, 4)) for _ in range(2))
    w = rng.normal(size=(N, 3))
    hat = Rotation.from_rotvec(1e-7 * w).as_matrix()
    hat = (hat - np.swapaxes(hat, 1, 2)) / 2e-7
    a, b = single(x.as_matrix()), single(y.as_matrix())
    v = np.einsum("nij,njk->nik", x.as_matrix(), hat)
    close(on_device(m.exp, a, v), (x * Rotation.from_rotvec(w)).as_matrix(), 16)
    turn = (x.inv() * y).as_rotvec()
    close(on_device(m.dist, a, b), np.linalg.norm(turn, axis=1), 16)
    keep = np.linalg.norm(turn, axis=1) < 3.0
    log = on_device(m.log, a, b)[keep]
    body = np.einsum("nji,njk->nik", x.as_matrix()[keep], log)
    found = np.stack([body[:, 2, 1], body[:, 0, 2], body[:, 1, 0]], 1)
    close(found, turn[keep], 100)
    close(np.einsum("nji,njk->nik", *[on_device(m.project, a + 0.05 * hat)] * 2), np.eye(3), 16)


@pytest.mark.parametrize("d", [2, 3])
def test_hyperbolic(d):
    """exp by cosh and sinh; log comes back; distances by 2 arsinh(|x − y|/2) of Minkowski."""
    rng, m = np.random.default_rng(d), sf.Hyperbolic(d)

    def placed(u):
        return np.concatenate([np.sqrt(1 + np.sum(u * u, 1, keepdims=True)), u], 1)

    flat = np.diag([-1.0, *[1.0] * d])
    inner = lambda a, b: np.einsum("ni,ij,nj->n", a, flat, b)  # noqa: E731
    # The first coordinate follows from the others, in float64: that of float32 is rounded.
    x, y = (placed(single(rng.normal(size=(N, d)))) for _ in range(2))
    v = rng.normal(size=x.shape)
    v = v + inner(v, x)[:, None] * x
    size = np.sqrt(inner(v, v))[:, None]
    exact = np.cosh(size) * x + np.sinh(size) / size * v
    found = on_device(m.exp, x, v)
    close(found / exact[:, :1], exact / exact[:, :1], 64)
    distance = 2 * np.arcsinh(np.sqrt(inner(x - y, x - y)) / 2)
    close(on_device(m.dist, x, y), distance, 64)
    log = on_device(m.log, x, y)
    direction = y - np.cosh(distance)[:, None] * x
    direction *= (distance / np.sinh(distance))[:, None]
    close(log / y[:, :1], direction / y[:, :1], 200)


@pytest.mark.parametrize(
    "m", [sf.Sphere(2), sf.Sphere(5), sf.SO3(), sf.Hyperbolic(2), sf.Torus(3)], ids=lambda m: m.name
)
def test_frames(m):
    """Frames are orthonormal, components come back, transport keeps lengths."""
    x = jax.vmap(lambda k: m.exp(m.origin(jnp.float32), m.normal(k, m.origin(jnp.float32))))(
        jax.random.split(jax.random.key(0), N)
    )
    y = jnp.roll(x, 1, axis=0)
    c = np.random.default_rng(0).normal(size=(N, m.dim))

    def checked(x, y, c):
        frame = m.frame(x)
        gram = jax.vmap(lambda a: jax.vmap(lambda b: m.inner(x, a, b))(frame))(frame)
        v = m.from_components(x, c)
        u = m.transport(x, y, v)
        return gram, m.components(x, v), m.inner(y, u, u) / jnp.sum(c * c)

    gram, back, kept = on_device(checked, x, y, c)
    scale = 4 * np.asarray(x).reshape(N, -1).max() ** 2 if isinstance(m, sf.Hyperbolic) else 8
    close(gram, np.eye(m.dim), 4 * scale)
    close(back, c, 16 * scale)
    close(kept, 1.0, 64 * scale)


@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_heat_kernels_of_spheres(d):
    """The table of arbitrary precision, at the bounds of docs/numerics.md."""
    table = np.load(ORACLES / "heat_sphere.npz")
    rows = table["d"] == d
    r, s = table["r"][rows], table["s"][rows]
    typical = np.sqrt(d / s) * np.exp(-0.5 * d * s)
    _kernel(SphereProfile(d), r, s, table["log_prob"][rows], table["score"][rows], typical)


@pytest.mark.parametrize("d", [None, 2, 3, 4, 8])
def test_heat_kernels_of_rotations_and_hyperbolic_spaces(d):
    """As above; d of H^d, None for SO(3)."""
    name = "SO(3)" if d is None else d
    rows = [row[1:] for row in json.loads((ORACLES / "heat_so3_hyp.json").read_text())
            if row[0] == name]  # fmt: skip
    r, s, log_p, steep = np.array(rows, np.float64).T
    dim = 3 if d is None else d
    size = np.sqrt(dim / s)
    if d is None:
        size = size * np.exp(-s)
    profile = SO3Profile() if d is None else HyperbolicProfile(d)
    _kernel(profile, r, s, log_p, steep, size)


def _kernel(profile, r, s, log_p, steep, size):
    """Inputs are rounded to float32 as in the tests of the bounds."""
    found = on_device(lambda r, s: (profile.log_prob(r, s), -profile.slope(r, s) * r), r, s)
    assert (np.abs(found[0] - log_p) / np.maximum(1.0, np.abs(log_p))).max() <= 2e-6
    assert (np.abs(found[1] - steep) / size).max() <= 1e-4


def test_heat_kernel_of_the_torus():
    """Sums of wrapped normal densities in float64."""
    rng, m = np.random.default_rng(0), sf.Torus(3)
    x, y = (single(rng.uniform(-np.pi, np.pi, (N, 3))) for _ in range(2))
    s = single(10.0 ** rng.uniform(-4, 1, N))
    # Of a distance near π two images count, of which the farther ones are below rounding.
    images = (x - y)[..., None] + 2 * np.pi * np.arange(-12, 13)
    each = -0.5 * images**2 / s[:, None, None] - 0.5 * np.log(2 * np.pi * s)[:, None, None]
    exact = np.sum(logsumexp(each, axis=-1), axis=-1)
    found = on_device(m.heat.log_prob, x, y, s)
    assert (np.abs(found - exact) / np.maximum(1.0, np.abs(exact))).max() <= 2e-6


def test_normal_kernels_on_flat_space():
    """Σ_i w_i N(x; z_i, Σ_i) in float64."""
    rng, d, n = np.random.default_rng(0), 3, 64
    m = sf.Euclidean(d)
    centres, x = single(rng.normal(size=(n, d))), single(rng.normal(size=(N, d)))
    axes = single(np.linalg.qr(rng.normal(size=(n, d, d)))[0])
    variances = single(np.exp(rng.normal(size=(n, d)) - 3))
    mixture = _mixture(m, centres, axes, variances, sf.noising.WrappedNormal(m))
    along = np.einsum("nij,qnj->qni", axes, x[:, None] - centres[None])
    each = -0.5 * np.sum(along**2 / variances + np.log(2 * np.pi * variances), -1)
    broad = -0.5 * np.sum(x * x, 1) - 0.5 * d * np.log(2 * np.pi)
    exact = _with_background(each, broad, n)
    found = on_device(mixture.log_prob, x)
    assert (np.abs(found - exact) / np.maximum(1.0, np.abs(exact))).max() <= 4e-6


def test_round_kernels_on_the_sphere():
    """Σ_i w_i N(r_i; 0, τ_i) r_i/sin r_i in float64: of round kernels, no frame matters."""
    rng, n, m = np.random.default_rng(0), 64, sf.Sphere(2)
    centres, x = single(unit(rng, 3)[:n]), single(unit(rng, 3))
    tau = single(np.exp(rng.normal(size=n) - 4))
    axes = np.broadcast_to(np.eye(2), (n, 2, 2))
    mixture = _mixture(m, centres, axes, np.stack([tau, tau], 1), UniformReference(m))
    gap = [np.linalg.norm(x[:, None] + sign * centres[None], axis=-1) for sign in (-1, 1)]
    r = 2 * np.arctan2(*gap)
    each = -0.5 * r * r / tau - np.log(2 * np.pi * tau) - np.log(np.sin(r) / r)
    exact = _with_background(each, -math.log(4 * math.pi), n)
    found = on_device(mixture.log_prob, x)
    assert (np.abs(found - exact) / np.maximum(1.0, np.abs(exact))).max() <= 1e-5


SHARE = float(np.float32(math.log(1e-3)))


def _mixture(m, centres, axes, variances, background):
    n = len(centres)
    parts = centres, axes, variances, np.full(n, -math.log(n)), SHARE
    return WrappedMixture(m, background, *(jnp.asarray(p, jnp.float32) for p in parts))


def _with_background(each, broad, n):
    kernels = logsumexp(each, axis=1) - math.log(n)
    return np.logaddexp(SHARE + broad, np.log1p(-math.exp(SHARE)) + kernels)


@pytest.mark.parametrize("m", [sf.Sphere(2), sf.SO3(), sf.Euclidean(2)], ids=lambda m: m.name)
def test_fitted_kernels(m, device):
    """A model fitted on the device: its float32 densities there against the same kernels in
    float64 on the processor."""
    origin = m.origin(jnp.float32)
    draw = jax.jit(jax.vmap(lambda k: m.exp(origin, 0.5 * m.normal(k, origin))))
    x = np.asarray(draw(jax.random.split(jax.random.key(0), 600)))
    model, _ = sf.fit(
        sf.KernelModel(m, counts=(5, 13), width=16, depth=1), x[:500], key=jax.random.key(1),
        steps=20, progress=False,
    )  # fmt: skip
    found = np.asarray(model.log_prob(x[500:]), np.float64)
    with jax.default_device(jax.devices("cpu")[0]):
        there = jax.tree.map(_double, model)
        exact = np.asarray(there.log_prob(x[500:].astype(np.float64)))
    assert exact.dtype == np.float64 and np.isfinite(exact).all()
    assert np.abs(found - exact).max() <= 2e-4


def _double(a):
    if isinstance(a, jax.Array) and not jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
        a = jax.device_put(np.asarray(a), jax.devices("cpu")[0])
    return a.astype(jnp.float64) if eqx.is_inexact_array(a) else a


@functools.cache
def _flow_model():
    m = sf.Sphere(2)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3)) * 0.4 + [0.0, 0.0, 1.0]
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    network = sf.NetworkSpec(width=32, depth=2, fourier=16, frequency=4.0)
    description = sf.ScoreModel(sf.default_noising(m, x), network=network)
    model, _ = sf.fit(description, x, key=jax.random.key(0), steps=60, progress=False)
    return model, x[:64]


def test_likelihood_of_a_network():
    """With products of float32 in the network too, the error is that of the solver. JAX's default
    rounds them on GPUs: the density is then that of a slightly other network, everywhere."""
    model, x = _flow_model()
    with jax.default_matmul_precision("highest"):
        found = np.asarray(model.log_prob(x), np.float64)
    rounded = np.asarray(model.log_prob(x), np.float64)
    with jax.default_device(jax.devices("cpu")[0]):
        exact = np.asarray(jax.tree.map(_double, model).log_prob(x.astype(np.float64)))
    assert np.sqrt(np.mean((found - exact) ** 2)) <= 2e-3
    assert np.sqrt(np.mean((rounded - exact) ** 2)) <= 2e-2
