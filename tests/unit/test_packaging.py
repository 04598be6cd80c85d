"""What is packaged elsewhere says what ``pyproject.toml`` says."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import scorefold as sf

ROOT = Path(__file__).parents[2]
CONDA_NAMES = {"matplotlib": "matplotlib-base"}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_version_is_that_of_the_package():
    assert sf.__version__ == version("scorefold")
    assert re.match(r"\d+\.\d+", sf.__version__)


def test_the_conda_recipe_has_our_requirements(project):
    recipe = (ROOT / "packaging" / "conda" / "recipe.yaml").read_text()
    run = recipe.split("  run:\n")[1].split("tests:")[0]
    found = re.findall(r"^    - ([\w-]+) (.+)$", run, re.MULTILINE)
    wanted = [re.match(r"([\w-]+)(.*)", one).groups() for one in project["dependencies"]]
    wanted = [(CONDA_NAMES.get(name, name), bound) for name, bound in wanted]
    assert found == [("python", project["requires-python"]), *wanted]


def test_the_container_has_a_python_that_is_tested(project):
    used = set(re.findall(r"^FROM python:(\d\.\d+)", (ROOT / "Dockerfile").read_text(), re.M))
    stated = {c.rsplit(" ", 1)[1] for c in project["classifiers"] if "Python :: 3." in c}
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    tested = set(re.findall(r'"(3\.\d+)"', workflow.split("matrix:")[1].split("steps:")[0]))
    assert used and used <= stated == tested
