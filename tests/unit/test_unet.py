"""Networks for images: symmetries, derivatives, files, and what they can learn."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold.fields import ImageNetworkSpec, NetworkSpec
from scorefold.fields.convolution import Convolution, by_primitive, normalised

quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
answer = partial(eqx.filter_jit, compiler_options={"xla_backend_optimization_level": 0})(
    lambda network, h, s: network(h, s)
)
SMALL = {"channels": 4, "multipliers": (1, 2), "groups": 2, "time_features": 2}


def awake(network, key=7):
    """The network with every array random, those that start at zero too: nothing is hidden. Arrays
    may be described only (``eqx.filter_eval_shape``)."""
    rng = np.random.default_rng(key)
    return jax.tree.map(
        lambda a: (
            jnp.asarray(0.4 * rng.normal(size=a.shape), a.dtype) if hasattr(a, "dtype") else a
        ),
        network,
    )


def built(shape, dtype=jnp.float64, **kwargs):
    spec = ImageNetworkSpec(shape, **{**SMALL, **kwargs})
    size = int(np.prod(shape))
    return awake(
        eqx.filter_eval_shape(lambda: spec.build(size, size, dtype=dtype, key=jax.random.key(0)))
    )


def test_convolution_against_scipy():
    """scipy.ndimage.correlate, with zeros beyond the border and around it."""
    from scipy.ndimage import correlate

    x = np.random.default_rng(0).normal(size=(6, 8, 2))
    for periodic, mode in ((False, "constant"), (True, "wrap")):
        layer = awake(
            Convolution(2, 3, periodic=periodic, dtype=jnp.float64, key=jax.random.key(0))
        )
        for stride in (1, 2):
            layer = eqx.tree_at(lambda c: c.stride, layer, stride)
            exact = [
                layer.bias[o]
                + sum(correlate(x[..., i], layer.weight[:, :, i, o], mode=mode) for i in range(2))
                for o in range(3)
            ]
            exact = np.stack(exact, -1)[::stride, ::stride]
            np.testing.assert_allclose(layer(jnp.asarray(x)), exact, atol=1e-13)
        # What other devices do, on the image with its border.
        wide = jnp.pad(jnp.asarray(x), ((1, 1), (1, 1), (0, 0)), mode="wrap")
    found = by_primitive(wide, layer.weight, 2) + layer.bias[None, None]
    np.testing.assert_allclose(found, exact, atol=1e-13)


def test_groups_are_normalised():
    x = np.random.default_rng(0).normal(2.0, 3.0, (5, 4, 6))
    parts = np.asarray(normalised(jnp.asarray(x), 3)).reshape(20, 3, 2)
    np.testing.assert_allclose(parts.mean((0, 2)), 0.0, atol=1e-14)
    # v/(v + 1e-5) of the variance v ≈ 9 is left.
    np.testing.assert_allclose(parts.var((0, 2)), 1.0, atol=3e-6)
    assert np.isfinite(jax.grad(lambda y: jnp.sum(normalised(y, 3)))(jnp.ones((5, 4, 6)))).all()


def test_periodic_images_commute_with_shifts_by_the_stride():
    """Patch 2 and two resolutions: by multiples of 4 pixels, and by 2 they do not."""
    shape = (8, 12, 2)
    network = built(shape, periodic=True, patch=2, attention=True)
    x, s = np.random.default_rng(1).normal(size=shape), jnp.asarray(0.3)

    def shifted(image, by):
        return jnp.asarray(np.roll(np.reshape(image, shape), by, (0, 1)).ravel())

    y = answer(network, shifted(x, (0, 0)), s)
    for by in ((4, 0), (-4, 8)):
        np.testing.assert_allclose(answer(network, shifted(x, by), s), shifted(y, by), atol=1e-11)
    assert np.abs(answer(network, shifted(x, (2, 0)), s) - shifted(y, (2, 0))).max() > 1e-3


@pytest.mark.slow
def test_derivatives_against_differences():
    """Central differences of the network in the point, the level and all parameters: the error of
    the differences is about h² = 1e-10 times third derivatives."""
    network = built((4, 8), attention=True)
    arrays, rest = eqx.partition(network, eqx.is_inexact_array)
    rng = np.random.default_rng(2)
    weights = jnp.asarray(rng.normal(size=32))
    point = (arrays, jnp.asarray(rng.normal(size=32)), jnp.asarray(0.5))
    along = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape)), point)
    # Frequencies of the noise level are never trained: their gradient is stopped.
    along = eqx.tree_at(lambda p: p[0].times, along, replace_fn=jnp.zeros_like)

    def value(p):
        return weights @ eqx.combine(p[0], rest)(p[1], p[2])

    both = quick(jax.value_and_grad(value))
    h = 1e-5
    ends = [both(jax.tree.map(lambda a, v, e=e: a + e * v, point, along))[0] for e in (h, -h)]
    slopes = jax.tree.map(lambda a, b: np.sum(a * b), both(point)[1], along)
    difference = (ends[0] - ends[1]) / (2 * h)
    np.testing.assert_allclose(sum(jax.tree.leaves(slopes)), difference, rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_zero_output_dtypes_and_files(tmp_path, dtype):
    network = built((4, 4), dtype)
    x = jnp.asarray(np.random.default_rng(3).normal(size=16), dtype)
    s = jnp.asarray(0.2, dtype)
    y = answer(network, x, s)
    assert y.dtype == dtype
    sf.save(tmp_path / "n", network)
    again = sf.load(tmp_path / "n")
    assert jax.tree.structure(again) == jax.tree.structure(network)
    assert answer(again, x, s).tobytes() == y.tobytes()
    silent = network.with_zero_output()
    np.testing.assert_array_equal(answer(silent, x, s), 0.0)
    # Weights of float32 answer points of float64 in float64, as ScoreNetwork does.
    if dtype == jnp.float32:
        wide = answer(network, x.astype(jnp.float64), s.astype(jnp.float64))
        assert wide.dtype == jnp.float64
        np.testing.assert_allclose(wide, y, atol=1e-4)


def test_zero_output_of_the_plain_network():
    network = NetworkSpec(width=8, depth=1, fourier=2).build(3, 2, key=jax.random.key(0))
    silent = awake(network).with_zero_output()
    np.testing.assert_array_equal(answer(silent, jnp.ones(3), jnp.asarray(0.1)), [0.0, 0.0])


@pytest.mark.fault(36, "networks for images of impossible sizes")
def test_sizes_that_cannot_be_are_named():
    ImageNetworkSpec((28, 28))  # 28 → 14 → 7
    with pytest.raises(ValueError, match="5 × 7 pixels cannot be halved 1 times"):
        ImageNetworkSpec((5, 7), multipliers=(1, 2))
    with pytest.raises(ValueError, match="both sides must be multiples of 16"):
        ImageNetworkSpec((28, 28), multipliers=(1, 2, 2, 2), patch=2)
    with pytest.raises(ValueError, match="must be multiples of groups=8"):
        ImageNetworkSpec((28, 28), channels=12)
    with pytest.raises(ValueError, match="shape must be"):
        ImageNetworkSpec((28,))
    with pytest.raises(ValueError, match=r"images \(4, 4, 3\) are points of R\^48"):
        ImageNetworkSpec((4, 4, 3), **SMALL).build(16, 16, key=jax.random.key(0))


def waves(n, key, dtype=np.float32):
    """Periodic Gaussian images of 8 × 8, variance 1 at each pixel, and the spectrum of their
    covariance: σ_k² ∝ e^{−|k|²/2}."""
    k = np.fft.fftfreq(8, 1 / 8)
    spectrum = np.exp(-(k[:, None] ** 2 + k[None] ** 2) / 2)
    spectrum = 64 * spectrum / spectrum.sum()
    white = np.random.default_rng(key).normal(size=(n, 8, 8))
    images = np.fft.ifft2(np.fft.fft2(white) * np.sqrt(spectrum)).real
    return images.reshape(n, 64).astype(dtype), spectrum


@pytest.mark.slow
def test_a_score_model_learns_a_linear_score():
    """The score of a Gaussian field under Brownian motion is −x̂_k/(σ_k² + s) in Fourier space. The
    model starts from that of independent pixels; a network that saw no neighbours would stay
    there. After 150 steps nine tenths of the squared error at s = 0.3 are gone (0.97 measured)."""
    x, spectrum = waves(2000, 0)
    model = sf.ScoreModel(
        sf.noising.VarianceExploding(sf.Euclidean(64), sf.noising.Constant(2.0)),
        network=ImageNetworkSpec((8, 8), channels=8, multipliers=(1, 2), groups=4, periodic=True),
        s_min=0.05,
    )
    fitted, _ = sf.fit(
        model, x, key=jax.random.key(0), steps=150, batch_size=64, learning_rate=3e-3,
        progress=False,
    )  # fmt: skip
    s, (fresh, _) = 0.3, waves(200, 1)
    noise = np.random.default_rng(2).normal(scale=np.sqrt(s), size=fresh.shape)
    y = fresh + noise.astype(np.float32)
    exact = np.fft.ifft2(-np.fft.fft2(y.reshape(-1, 8, 8)) / (spectrum + s)).real.reshape(-1, 64)
    learned = np.asarray(fitted.score(s / 2.0, y))
    assert learned.dtype == np.float32
    error, plain = ((f - exact) ** 2 for f in (learned, -y / (1.0 + s)))
    assert error.mean() < 0.1 * plain.mean(), error.mean() / plain.mean()


def test_a_bridge_starts_as_the_gaussian_bridge(tmp_path):
    """Networks answer 0 at first, so that ∇ log ψ is that of ``GaussianBridge`` between the laws
    with the moments of the data; pixels have one unit, whatever their deviations."""
    from scorefold.bridges import BridgeMatching, GaussianBridge, NetworkBridge, brownian_reference

    rng = np.random.default_rng(0)
    a = rng.normal(size=(50, 16)) * np.linspace(0.5, 2.0, 16)
    b = 1.0 + rng.normal(size=(60, 16))
    reference = brownian_reference(sf.Euclidean(16), 0.7)
    spec = ImageNetworkSpec((4, 4), **SMALL)
    fields = BridgeMatching(reference, network=spec).fields(
        jax.random.key(0), *map(jnp.asarray, (a, b))
    )
    bridge = NetworkBridge(reference, *fields)
    exact = GaussianBridge(reference, a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))
    x, s = jnp.asarray(rng.normal(size=16)), jnp.asarray(0.2)
    both = quick(lambda x: (bridge.forward(x, s), exact.forward(x, s)))(x)
    np.testing.assert_allclose(*both, rtol=1e-8)
    sf.save(tmp_path / "b", bridge)
    again = sf.load(tmp_path / "b")
    assert quick(lambda x: again.forward(x, s))(x).tobytes() == both[0].tobytes()
    unit = np.sqrt(np.mean((np.concatenate([a, b]) - np.concatenate([a, b]).mean()) ** 2))
    np.testing.assert_allclose(bridge.toward_a.frame.width, unit)
    np.testing.assert_allclose(bridge.toward_a.frame.std, np.sqrt(a.var(0).mean()))
