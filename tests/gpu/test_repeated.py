"""The same key gives the same numbers, and a fit leaves nothing behind on the device."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf

SPACES = [sf.Sphere(2), sf.SO3(), sf.Torus(2), sf.Hyperbolic(2), sf.Euclidean(2)]


def _draws(m, key, n=256):
    x, s = m.origin(jnp.float32), jnp.asarray(0.3, jnp.float32)
    return jax.jit(jax.vmap(lambda k: m.heat.sample(k, x, s)))(jax.random.split(key, n))


def _points(n):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3)) * 0.4 + [0.0, 0.0, 1.0]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def _description(x):
    network = sf.NetworkSpec(width=32, depth=2, fourier=16)
    return sf.ScoreModel(sf.default_noising(sf.Sphere(2), x), network=network)


def _fit(x, steps=30, seed=0):
    return sf.fit(_description(x), x, key=jax.random.key(seed), steps=steps, progress=False)


@pytest.mark.parametrize("m", SPACES, ids=lambda m: m.name)
def test_draws(m):
    """Bit for bit on this device; random numbers are those of the processor, so that draws differ
    by rounding from its. (A refused proposal may be accepted there, once in many.)"""
    here = np.asarray(_draws(m, jax.random.key(0)))
    assert np.array_equal(here, np.asarray(_draws(m, jax.random.key(0))))
    with jax.default_device(jax.devices("cpu")[0]):
        there = np.asarray(_draws(m, jax.random.key(0)))
    apart = np.abs(here - there).reshape(len(here), -1).max(axis=1)
    assert np.mean(apart > 1e-4) <= 0.01


def test_a_fit_and_its_densities(device):
    """On a processor the same key trains the same bits. On a GPU sums of gradients may be taken in
    another order: losses agree to rounding that 30 steps amplify. Densities repeat in any case."""
    x = _points(400)
    (one, first), (other, second) = _fit(x), _fit(x)
    if device.platform == "cpu":
        assert np.array_equal(first.loss, second.loss)
    np.testing.assert_allclose(first.loss, second.loss, rtol=1e-2)
    found = np.asarray(one.log_prob(x[:64]))
    assert np.array_equal(found, np.asarray(one.log_prob(x[:64])))
    np.testing.assert_allclose(found, np.asarray(other.log_prob(x[:64])), atol=0.05)


def _held(device):
    """Bytes in use on the device; of arrays that are alive where it does not say."""
    gc.collect()
    stats = device.memory_stats() or {}
    alive = sum(a.nbytes for a in jax.live_arrays())
    return stats.get("bytes_in_use", alive), alive


def test_memory_is_freed(device):
    """2²⁰ points, 12 MiB: after a fit, arrays are alive for the model alone; after a second one
    the device holds no more than after the first."""
    x = _points(1 << 20)
    _, before = _held(device)
    model, history = _fit(x, steps=3)
    del history
    numbers = sum(a.nbytes for a in jax.tree.leaves(model) if isinstance(a, jax.Array))
    in_use, alive = _held(device)
    assert alive - before <= numbers + (1 << 20)
    del model
    again = _fit(x, steps=3, seed=1)
    del again
    assert _held(device)[0] - in_use <= 1 << 20
