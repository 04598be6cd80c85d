"""Sums that some versions of jaxlib get wrong, and loops in which they wait for ever."""

import importlib.metadata
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold import _jaxlib
from scorefold._warnings import ScorefoldWarning


def test_sums_are_right_here():
    assert _jaxlib.sums_are_right()


@pytest.mark.parametrize("flags", ["", "--xla_cpu_multi_thread_eigen=false"])
def test_the_option_is_added_for_versions_that_are_wrong_alone(flags, monkeypatch):
    for version, added in {"0.10.1": "", "0.10.2": f"{_jaxlib._OPTION}=", "0.12.0": ""}.items():
        monkeypatch.setattr(importlib.metadata, "version", lambda name, v=version: v)
        monkeypatch.setenv("XLA_FLAGS", flags)
        _jaxlib.avoid_wrong_sums()
        assert os.environ["XLA_FLAGS"].split() == [*added.split(), *flags.split()]
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.10.2")
    monkeypatch.setenv("XLA_FLAGS", f"{_jaxlib._OPTION}=-reduce")
    _jaxlib.avoid_wrong_sums()
    assert os.environ["XLA_FLAGS"] == f"{_jaxlib._OPTION}=-reduce"


def test_wrong_sums_are_said(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.12.0")
    monkeypatch.setattr(_jaxlib, "sums_are_right", lambda: False)
    _jaxlib.warn_of_wrong_sums.cache_clear()
    with pytest.warns(ScorefoldWarning, match=r"jaxlib 0\.12\.0 computes wrong sums .*XLA_FLAGS="):
        _jaxlib.warn_of_wrong_sums()
    _jaxlib.warn_of_wrong_sums.cache_clear()


def test_sums_are_right_in_a_new_process():
    code = "import scorefold._jaxlib as j; assert j.sums_are_right()"
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)


_LOOP = """
import scorefold, jax, jax.numpy as jnp

def step(c, _):
    each = [jnp.linalg.cholesky(a @ a.mT + jnp.eye(50)[None]) + jnp.sin(a) for a in c]
    return 0.1 * jnp.stack(each), None

start = jax.random.normal(jax.random.key(0), (2, 32, 50, 50))
jax.jit(lambda c: jax.lax.scan(step, c, None, length=1000)[0])(start).block_until_ready()
"""


def test_batches_of_factorisations_end():
    """Two at once on two cores: within two seconds, or never."""
    env = {name: value for name, value in os.environ.items() if name not in _jaxlib._SIZES}
    subprocess.run([sys.executable, "-c", _LOOP], check=True, env=env, timeout=120)


@pytest.mark.parametrize(
    ("version", "cores", "stated", "size"),
    [("0.10.1", 2, None, "6"), ("0.11.1.dev3", 4, None, "6"), ("0.11.2", 2, None, None),
     ("0.10.1", 1, None, None), ("0.10.1", 64, None, None), ("0.10.1", 2, "3", "3")],
)  # fmt: skip
def test_the_pool_has_more_threads_where_it_must(version, cores, stated, size, monkeypatch):
    for name in _jaxlib._SIZES:
        monkeypatch.delenv(name, raising=False)
    if stated:
        monkeypatch.setenv("PJRT_NPROC", stated)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    _jaxlib.avoid_deadlocks()
    assert os.environ.get("PJRT_NPROC") == size


def test_kernels_in_float32_are_those_of_numpy():
    """The sum over kernels on T^7, by NumPy in 64 bits: shapes at which such sums went wrong."""
    rng = np.random.default_rng(0)
    n, d, torus = 300, 7, sf.Torus(7)
    z, x = rng.uniform(-3, 3, (n, d)), rng.uniform(-3, 3, (257, d))
    axes = np.linalg.qr(rng.normal(size=(n, d, d)))[0]
    variances = np.exp(rng.normal(size=(n, d)) - 4.0)
    single = lambda a: jnp.asarray(a, jnp.float32)  # noqa: E731
    mixture = sf.kernels.WrappedMixture(
        torus, sf.noising.UniformReference(torus), single(z), single(axes), single(variances),
        jnp.full(n, -np.log(n), jnp.float32), jnp.float32(-60.0),
    )  # fmt: skip
    found = jax.jit(jax.vmap(mixture.log_prob))(single(x))
    v = (x[:, None] - z[None] + np.pi) % (2 * np.pi) - np.pi
    c = np.einsum("nij,pnj->pni", axes, v)
    each = -0.5 * np.sum(c * c / variances + np.log(2 * np.pi * variances), -1) - np.log(n)
    top = each.max(1, keepdims=True)
    exact = top[:, 0] + np.log(np.exp(each - top).sum(1))
    known = exact > -40.0
    assert known.sum() > 5
    np.testing.assert_allclose(np.asarray(found)[known], exact[known], rtol=1e-3)
