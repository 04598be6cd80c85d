"""Strict mode for the whole suite: float32 and float64 side by side, nothing promoted silently."""

import os
from pathlib import Path

# One thread for each worker of ``pytest -n``, unless the caller says otherwise.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

# Compiled programs are kept between workers, subprocesses and runs of the suite.
os.environ.setdefault(
    "SCOREFOLD_COMPILATION_CACHE", str(Path(__file__).parents[1] / ".pytest_cache" / "compiled")
)

import jax
import pytest

from scorefold._cache import keep_compilations

keep_compilations()
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data files: SCOREFOLD_DATA_DIR, or ``shared/data`` beside the checkout."""
    stated = os.environ.get("SCOREFOLD_DATA_DIR")
    folder = Path(stated) if stated else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real data files: set SCOREFOLD_DATA_DIR to their folder")
    return folder


@pytest.fixture(scope="module")
def settings_of_users():
    """32-bit floats, JAX's own choice, as the command line has them."""
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)
