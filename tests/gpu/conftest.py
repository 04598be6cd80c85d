"""Checks of what a GPU does differently: ``pytest tests/gpu`` on a machine that has one.

Elsewhere they are skipped; SCOREFOLD_GPU_TESTS=cpu runs them on the processor, to try the tests.
"""

import os

import jax
import pytest


def _device() -> jax.Device | None:
    if os.environ.get("SCOREFOLD_GPU_TESTS") == "cpu":
        return jax.devices("cpu")[0]
    return jax.devices()[0] if jax.default_backend() == "gpu" else None


@pytest.fixture(scope="session")
def device():
    found = _device()
    if found is None:
        pytest.skip(
            f"JAX has no GPU here, only {jax.default_backend()}; SCOREFOLD_GPU_TESTS=cpu runs "
            "these tests on the processor"
        )
    return found


@pytest.fixture(autouse=True)
def on_device(device):
    """Arrays are made there, and programs run there."""
    with jax.default_device(device):
        yield
