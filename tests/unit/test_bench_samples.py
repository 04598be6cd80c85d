"""Distances of draws to test points, with what fresh data have beside them."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

from scorefold import data
from scorefold.bench import Measurement, TableRequest
from scorefold.bench.fitted import split_hash
from scorefold.bench.markdown import markdown
from scorefold.bench.results import Results
from scorefold.bench.samples import (
    ROWS,
    TABLE,
    Fitted,
    _kept,
    draws,
    root_biased_mmd,
)
from scorefold.fitting import save
from scorefold.manifolds import Sphere
from scorefold.models import HeatKernelDensity


@pytest.fixture(scope="module")
def dataset():
    return data.load("torus-2", n=600)


@pytest.fixture(scope="module")
def fitted(dataset):
    model = HeatKernelDensity.choose(dataset.manifold, dataset.train, val=dataset.val)
    return Fitted(model, 1.0, None, "closed form", False)


def test_the_published_measure_by_its_sums():
    """Two points against one, at right angles: k is 1 on the diagonal and e^{−π²/4} off it."""
    e = np.eye(3)
    off = math.exp(-(math.pi**2) / 4)
    want = (2 + 2 * off) / 4 + 1 - 2 * off
    assert root_biased_mmd(Sphere(2), e[:2], e[2:]) == pytest.approx(math.sqrt(want))
    assert root_biased_mmd(Sphere(2), e, e) == 0.0


def test_draws_of_a_good_model_are_at_the_floor(dataset, fitted):
    """Kernels at 480 draws of the law: within 4 standard deviations of a pair of the floor, and
    the floor of √MMD near √(2 (1 − E k)/n), what the diagonal alone gives."""
    found = draws(dataset, fitted, ROWS["kernel"], 3)
    n = len(dataset.test)
    assert (found.more["n"], found.more["draws"], found.nfe) == (n, 3, 0.0)
    for name, value in found.values.items():
        assert abs(value - found.floors[name]) < 4 * found.more["floor_std"][name]
    # Two draws differ by N(0, 0.08 I) but for 1e-50, so that E k = 1/(1 + 2·0.08).
    diagonal = math.sqrt(2 * (1 - 1 / 1.16) / n)
    assert found.floors["root_mmd"] == pytest.approx(diagonal, rel=0.3)
    assert abs(found.floors["mmd"]) < 4 * found.more["floor_standard_errors"]["mmd"]


def test_draws_that_are_not_finite_have_a_reason(dataset, fitted):
    class Broken(HeatKernelDensity):
        def sample(self, key, n, *, steps=None):
            raise FloatingPointError("samples: 3 draws are not finite.")

    parts = {f.name: getattr(fitted.model, f.name) for f in dataclasses.fields(fitted.model)}
    broken = object.__new__(Broken)
    for name, value in parts.items():
        object.__setattr__(broken, name, value)
    found = draws(dataset, fitted._replace(model=broken), ROWS["score, 1 step"], 2)
    assert found.values["root_mmd"] is None and "3 draws" in found.missing["root_mmd"]


def test_models_of_the_earth_table_are_read_where_they_are_of_these_rows(dataset, fitted, tmp_path):
    out = tmp_path / "samples"
    request = TableRequest("quick", out=out)
    name = (dataset.name, dataset.protocol, "kernel", dataset.seed)
    run = dict(zip(("data", "protocol", "method", "seed"), name, strict=True))
    run |= {"split": split_hash(dataset), "seconds": 5.0, "compile_seconds": None, "stopped": "x"}
    document = {"table": "earth", "length": "quick", "runs": [run]}
    models = tmp_path / "earth" / "models"
    models.mkdir(parents=True)
    save(models / f"{'-'.join(map(str, name))}.safetensors", fitted.model)
    file = tmp_path / "earth" / "results.json"
    assert _kept(request, dataset, "kernel") is None
    file.write_text(json.dumps(document))
    found = _kept(request, dataset, "kernel")
    assert found.read and (found.seconds, found.stopped) == (5.0, "x")
    np.testing.assert_array_equal(
        found.model.log_prob(dataset.test), fitted.model.log_prob(dataset.test)
    )
    assert _kept(dataclasses.replace(request, length="default"), dataset, "kernel") is None
    file.write_text(json.dumps({**document, "runs": [{**run, "split": "other"}]}))
    assert _kept(request, dataset, "kernel") is None


def test_rows_floors_and_published_numbers_stand_together(tmp_path):
    results = Results(TABLE, "default")
    three = lambda v: {"root_mmd": v, "mmd": v**2, "sliced": v}  # noqa: E731
    for method, value in (("kernel", 0.05), ("score, 1 step", 0.4), ("score, 10 steps", 0.1)):
        row = ROWS[method]
        more = {
            "model": row.model, "steps": row.steps, "n": 84, "draws": 3, "floor_pairs": 4,
            "standard_errors": three(0.002), "floor_standard_errors": three(0.02),
            "floor_std": three(0.04),
        }  # fmt: skip
        found = Measurement(three(value), three(0.06), nfe=float(row.steps or 0), more=more)
        results.add(("volcano", "published", method, 0), found, {})
    text = markdown(TABLE, results.runs)
    assert "| *floor: a perfect method* | 0.060 |" in text
    assert "| flow map (published)[^1] | 0.115 |" in text and "at or near the floor" in text
    assert "| volcano | published | 84 | 4 | 0.0600 ± 0.0200 |" in text
    # 0.06 + 2·0.04 = 0.14 is above all but flow matching, 0.351, and the consistency model, 0.155.
    words = "volcano (0.060 ± 0.040): flow map 0.115, mean flow 0.092, mean flow, another 0.102."
    assert words in text
    [(name, figure)] = list(TABLE.figures(results.runs, tmp_path))
    assert name == "steps-published" and len(figure.axes) == 1


def test_rows_of_a_model_stand_together():
    """So that its fit is made once."""
    models = [ROWS[cell.method].model for cell in TABLE.cells(TableRequest("quick"))]
    changes = sum(a != b for a, b in itertools.pairwise(models))
    assert changes == len(set(models)) - 1
    grouped = TABLE.cells(TableRequest(protocols=("grouped",)))
    assert {c.data for c in grouped if c.protocol == "grouped"} >= {"fire", "rna"}
