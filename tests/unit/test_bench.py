"""The tables: rows that survive an interruption, and one row whose number is known."""

import json

import pytest

from scorefold import bench
from scorefold.bench import Likelihoods, Measured, ResultTable
from scorefold.bench.bridge import PARTS


def row(seed, value=1.0):
    return Measured("task", "W₁", "light", seed, value, 0.5, 2.0)


def test_rows_are_made_once_and_kept(tmp_path):
    path, made = tmp_path / "table.json", []

    def make(seed):
        def one():
            made.append(seed)
            if seed == 2 and len(made) < 4:
                raise KeyboardInterrupt
            return row(seed, float(seed))

        return row(seed).name, one

    with pytest.raises(KeyboardInterrupt):
        ResultTable(path, Measured).run(make(s) for s in range(3))
    table = ResultTable(path, Measured)
    table.run(make(s) for s in range(3))
    assert made == [0, 1, 2, 2]
    # Mean and standard deviation of 0, 1, 2.
    (line,) = table.summary()
    assert line["value"] == 1.0 and line["value_std"] == 1.0 and line["seeds"] == 3
    assert "| task | W₁ | light | 3 | 1.000 ± 1.000 | 0.500 | 2.0 |" in table.text()
    assert json.loads(path.read_text())["summary"] == table.summary()


def test_another_file_is_not_gone_on_with(tmp_path):
    path = tmp_path / "table.json"
    ResultTable(path, Measured).run([(row(0).name, lambda: row(0))])
    with pytest.raises(ValueError, match="not a table of this kind"):
        ResultTable(path, Likelihoods)
    path.write_text("{")
    with pytest.raises(ValueError, match="not a table of this kind"):
        ResultTable(path, Measured)
    for table in (bench.wpo, bench.bridge):
        with pytest.raises(ValueError, match="parts: no nonsense"):
            table(parts=("nonsense",))


def test_normal_laws_from_moments_are_at_the_floor():
    """The first row: KL × 1000 of 10,000 carried points from the exact bridge in R⁵, coordinate by
    coordinate. A normal law with n draws has 1000 · d/n = 0.5 in the mean (moments have d/2n for
    the mean and d/2n for the variance), and moments of the ends that are estimated as much again
    at most; 1.2 is what the best published method has."""
    name, make = next(PARTS["gaussian"](1, None))
    assert name == ("normal laws, d = 5", "KL × 1000", "moments", 0)
    found = make()
    assert 0.1 < found.floor < 1.0
    assert 0.1 < found.value < 1.2
