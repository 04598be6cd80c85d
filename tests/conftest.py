"""Strict mode for the whole suite: float32 and float64 side by side, nothing promoted silently."""

import os
from pathlib import Path

import jax
import pytest

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
