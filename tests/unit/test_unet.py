"""Networks for images: symmetries, derivatives, files, and what they can learn."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold.fields import ImageNetworkSpec, NetworkSpec
from scorefold.fields.convolution import Convolution, normalised

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

    @quick
    def derivatives(p, v):
        here, forward = jax.jvp(value, (p,), (v,))
        inner = jax.tree.map(lambda a, b: jnp.sum(a * b), jax.grad(value)(p), v)
        return here, forward, sum(jax.tree.leaves(inner))

    h = 1e-5
    ends = [
        derivatives(jax.tree.map(lambda a, v, e=e: a + e * v, point, along), along)[0]
        for e in (h, -h)
    ]
    _, forward, reverse = derivatives(point, along)
    np.testing.assert_allclose(forward, (ends[0] - ends[1]) / (2 * h), rtol=1e-6)
    np.testing.assert_allclose(reverse, forward, rtol=1e-10)


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
