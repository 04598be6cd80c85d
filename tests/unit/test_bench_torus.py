"""The table of tori: which runs it has, how far methods go, and how tables of angles are read."""

import math

import numpy as np
import pytest

from scorefold.bench import TableRequest, find_table
from scorefold.bench.markdown import markdown
from scorefold.bench.results import Results
from scorefold.bench.torus import angles, wrapped
from scorefold.bench.torus.figure import scaling

TABLE = find_table("torus")


def result(method, d, **values):
    results = Results(TABLE, "default")
    found = wrapped.Measurement(values, {"per_dimension": 0.19})
    return results.add((f"torus-{d}", wrapped.PROTOCOL, method, 0), found, {})


def test_which_runs():
    """Three seeds of the two main methods in few dimensions and one of the others; torsion angles
    under both protocols; quick wants no files."""
    names = [cell.name for cell in TABLE.wanted(TableRequest())]
    assert names.count(("torus-10", wrapped.PROTOCOL, "score", 2)) == 1
    assert ("torus-50", wrapped.PROTOCOL, "score", 1) not in names
    assert ("torus-10", wrapped.PROTOCOL, "score, sliced", 1) not in names
    assert ("rna", "random", "kernel", 2) in names and ("rna", "grouped", "kernel", 1) not in names
    quick = [cell.data for cell in TABLE.wanted(TableRequest(length="quick"))]
    assert quick and set(quick) <= set(wrapped.NAMES)


def test_the_truth():
    """Entropy of a normal law of variance 0.04, by quadrature of the wrapped density."""
    x = np.linspace(-np.pi, np.pi, 20_001)
    p = sum(np.exp(-((x + 2 * np.pi * n) ** 2) / 0.08) for n in (-1, 0, 1))
    p = p / math.sqrt(0.08 * math.pi)
    assert abs(np.trapezoid(p * np.log(p), x) - wrapped.TRUTH) < 1e-9


@pytest.mark.parametrize("method, d", [("kernel", 20), ("moser", 1000), ("score, implicit", 200)])
def test_why_a_method_goes_no_further(method, d):
    found = wrapped.measure(method, d, 0, "default")
    assert set(found.values.values()) == {None} and found.missing["per_dimension"]


def test_costs_a_dimension(tmp_path):
    """0.1 s at d = 10 and 1.3 s at d = 100: 1.3 times as much a dimension."""
    assert wrapped.flatness({10: 0.1, 100: 1.3}) == {"10": 1.0, "100": pytest.approx(1.3)}
    assert wrapped.flatness({2: 0.1}) == {}
    runs = [
        result(
            "score",
            d,
            per_dimension=0.18,
            shortfall=5.0,
            seconds_per_step=0.01 * d,
            memory=float(d),
        )
        for d in (10, 100)
    ]
    text = markdown(TABLE, runs)
    assert "relative to d = 10: 1.00 at d = 100" in text
    assert "| *floor: a perfect method* | 0.1900 | 0.1900 |" in text
    first, *_ = scaling(runs).axes
    assert [line.get_label() for line in first.lines] == ["score", "truth"]
    assert [name for name, _ in TABLE.figures(runs, tmp_path)] == ["scaling"]


def written(path, header, columns, text=None):
    rows = [",".join(f"{v:.3f}" for v in row) for row in np.column_stack(columns)]
    if text is not None:
        header, rows = f"{header},name", [f"{row},{text}" for row in rows]
    path.write_text("\n".join([header, *rows]) + "\n")
    return str(path)


def test_tables_of_the_user(tmp_path):
    """Degrees where names state nothing, what they state otherwise; text is left out."""
    rng = np.random.default_rng(0)
    phi, psi = rng.uniform(-180, 180, (2, 200))
    file = written(tmp_path / "a.csv", "phi,psi", [phi, psi], text="ALA")
    found = angles.own_angles(file, "random", 0)
    assert found.manifold.name == "T^2" and len(found.train) == 160
    np.testing.assert_allclose(np.sort(np.asarray(found.values)[:, 0]), np.sort(phi), atol=6e-4)
    radians = written(tmp_path / "b.csv", "phi (rad),psi (rad)", np.radians([phi, psi]))
    again = angles.own_angles(radians, "random", 0)
    np.testing.assert_allclose(np.cos(again.train), np.cos(found.train), atol=2e-3)
    asked = TableRequest(data=(file,))
    assert {cell.data for cell in TABLE.wanted(asked)} == {file}


@pytest.mark.parametrize("header, columns, words", [
    ("phi,resid", [np.linspace(-170, 170, 50), np.arange(380, 430)], "'resid' numbers the rows"),
    ("phi,psi (rad)", [np.linspace(-170, 170, 50), np.linspace(-9, 9, 50)], "beyond a turn of"),
    ("phi,psi", np.linspace(-3, 3, 100).reshape(2, 50), "reach 3 only, as radians do"),
    ("phi,psi (rad)", [np.linspace(-170, 170, 50), np.linspace(-3, 3, 50)], "phi state no unit"),
])  # fmt: skip
def test_what_is_no_angle(tmp_path, header, columns, words):
    file = written(tmp_path / "c.csv", header, columns)
    with pytest.raises(ValueError) as caught:
        angles.own_angles(file, "random", 0)
    assert words in str(caught.value) and "\n" not in str(caught.value)
