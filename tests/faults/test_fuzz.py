"""A few seconds of tests/slow/fuzz.py: damaged and hostile files of every kind."""

import runpy
from pathlib import Path

import pytest

FUZZ = Path(__file__).parents[1] / "slow" / "fuzz.py"


@pytest.fixture(scope="module")
def fuzz():
    return runpy.run_path(str(FUZZ))["fuzz"]


@pytest.mark.usefixtures("settings_of_users")
@pytest.mark.fault(5, "tables of four formats: 25 mutations of each, by the fuzzer")
@pytest.mark.parametrize("kind", ["csv", "npy", "npz", "parquet"])
def test_tables(kind, fuzz, tmp_path):
    assert fuzz([kind], 1, tmp_path, cases=25) == {}


@pytest.mark.usefixtures("settings_of_users")
@pytest.mark.fault(7, "models and names: 25 mutations of each, by the fuzzer")
@pytest.mark.parametrize("kind", ["model", "name"])
def test_models_and_names(kind, fuzz, tmp_path):
    assert fuzz([kind], 1, tmp_path, cases=25) == {}
