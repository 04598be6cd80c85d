"""Long runs: steady memory, ordinary points that used to overflow, laws without much shape."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold.metrics import reference_nll

pytestmark = pytest.mark.timeout(3600)


def resident():
    """Resident memory in MiB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))


def test_ten_thousand_steps_in_steady_memory_and_one_program():
    """The second 10⁴ steps compile nothing and add less than 64 MiB."""
    x = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    model = sf.KernelModel(sf.Euclidean(2), width=4, depth=1)
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
    )
    more = {"val": x[:20], "key": jax.random.key(0), "progress": False, "batch_size": 16}
    sf.fit(model, x, steps=10_000, **more)
    before, count = resident(), len(compiled)
    sf.fit(model, x, steps=10_000, **more)
    assert len(compiled) == count > 0
    assert resident() - before < 64


def hard_core(n, radius, seed):
    """Uniform directions kept one after another if farther than ``radius`` from all kept."""
    rng, kept = np.random.default_rng(seed), np.empty((0, 3))
    while len(kept) < n:
        z, phi = rng.uniform(-1, 1), rng.uniform(0, 2 * np.pi)
        across = math.sqrt(1 - z * z)
        x = np.array([across * math.cos(phi), across * math.sin(phi), z])
        if not len(kept) or (kept @ x).max() < math.cos(radius):
            kept = np.concatenate([kept, x[None]])
    return kept.astype(np.float32)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_repelling_points(seed, settings_of_users):
    """All 400 steps, in single precision, of 1200 points: seed 1 used to end at step 212."""
    x = np.random.default_rng(seed).permutation(hard_core(1200, 0.055, 3))
    model, history = sf.fit(
        sf.KernelModel(sf.Sphere(2)), x[:960], val=x[960:1080], key=jax.random.key(seed),
        steps=400, progress=False,
    )  # fmt: skip
    assert (history.stopped, history.steps) == ("steps", 400)
    assert np.isfinite(history.val_nll).all()
    assert -float(jnp.mean(model.log_prob(x[1080:]))) < math.log(4 * math.pi) + 0.02


NEARLY_UNIFORM = [sf.Torus(2), sf.Torus(5), sf.Sphere(3), sf.SO3()]


@pytest.mark.parametrize("manifold", NEARLY_UNIFORM, ids=lambda m: m.name)
@pytest.mark.parametrize("seed", [0, 1])
def test_laws_of_hardly_any_shape(manifold, seed, settings_of_users):
    """700 points of the density 1 + 0.15 f against uniform, |f| ≤ 1 the first ambient coordinate:
    not worse than the uniform law by more than 0.01 nats."""
    keys = jax.random.split(jax.random.key(seed), 2)
    x = jax.vmap(manifold.uniform)(jax.random.split(keys[0], 12_000))
    f = np.asarray(jax.vmap(manifold.embed)(x))[:, 0]
    keep = np.asarray(jax.random.uniform(keys[1], (len(x),))) * 1.15 < 1 + 0.15 * np.clip(f, -1, 1)
    x = np.asarray(x)[keep]
    model, _ = sf.fit(
        sf.KernelModel(manifold), x[:700], val=x[700:770], key=keys[0], progress=False
    )
    nll = -float(np.asarray(model.log_prob(x[770:4770]), np.float64).mean())
    assert nll < manifold.log_volume + 0.01


@pytest.mark.parametrize("d", [2, 6])
def test_one_normal_law(d, settings_of_users):
    """800 points of N(0, 1): not worse than the fitted normal law by more than 0.02 nats."""
    x = np.random.default_rng(d).normal(size=(4890, d)).astype(np.float32)
    space, train, val, test = sf.Euclidean(d), x[:800], x[800:890], x[890:]
    model, _ = sf.fit(sf.KernelModel(space), train, val=val, key=jax.random.key(0), progress=False)
    nll = -float(np.asarray(model.log_prob(test), np.float64).mean())
    assert nll < reference_nll(space, train, test).nll + 0.02
