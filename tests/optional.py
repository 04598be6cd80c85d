"""Packages that tests want and need not be there."""

import contextlib
import warnings

import jax
import pytest


def package(name):
    """The module, or the test is skipped. What it warns of while it is imported is its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name)


@contextlib.contextmanager
def usual_promotion():
    """JAX as most packages expect it."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
