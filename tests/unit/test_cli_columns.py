"""Tables on the command line: the second is read by the names of the first, warnings are said."""

import json

import numpy as np
import pandas as pd
import pytest

from scorefold.cli import main
from scorefold.cli.bridge import request_of
from scorefold.cli.commands import build_parser
from scorefold.data import load
from scorefold.runs import FitRequest, Reading, Run
from scorefold.runs.opening import opened, reopened
from scorefold.runs.reading import reading_as

RNG = np.random.default_rng(7)
N = 60


def write(path, **columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return str(path)


def points(data):
    return np.concatenate([data.train, data.val, data.test])


def problem_of(words):
    """What a command line asks for, its tables read."""
    (problem,) = opened(request_of(build_parser().parse_args(words))).problems.values()
    return problem


@pytest.mark.parametrize(
    ("space", "options", "names"),
    [("R^2", [], "xy"), ("R^2", [], ("mass", "age")), ("T^2", ["--degrees"], ("phi", "psi"))],
)
def test_a_bridge_reads_both_ends_by_name(tmp_path, space, options, names):
    x, y = 20 * RNG.normal(size=(2, N))
    a = write(tmp_path / "a.csv", **{names[0]: x, names[1]: y})
    b = write(tmp_path / "b.csv", **{names[1]: y, names[0]: x + 0.5})
    c = write(tmp_path / "c.csv", **{names[1]: y + 1, "more": x, names[0]: x})
    words = ["bridge", a, b, c, "--manifold", space, "--protocol", "random", *options]
    one, two, three = problem_of(words).parts[0].points  # the same rows train everywhere
    unit = np.pi / 180 if options else 1.0
    np.testing.assert_allclose(two - one, unit * np.array([[0.5, 0.0]] * len(one)), atol=1e-6)
    np.testing.assert_allclose(three - one, unit * np.array([[0.0, 1.0]] * len(one)), atol=1e-6)


def test_ends_with_other_names_are_said_and_half_agreeing_ones_refused(tmp_path, capsys):
    x = RNG.normal(size=(N, 2))
    a, b = (write(tmp_path / f"{n[0]}.csv", **dict(zip(n, x.T, strict=True))) for n in ("xy", "uv"))
    words = ["--manifold", "R^2", "--protocol", "random"]
    (said,) = problem_of(["bridge", a, b, *words]).warnings
    assert "u.csv: columns u, v read as x, y, by position" in said
    c = write(tmp_path / "c.csv", x=x[:, 0], w=x[:, 1])
    assert main(["bridge", a, c, *words, "--out", str(tmp_path / "o")]) == 2
    assert "here 'y' is missing among x, w. Give both tables the same names" in (
        capsys.readouterr().err
    )


@pytest.mark.fault(45, "a product on the command line, in the units of its factors")
def test_a_run_keeps_how_its_table_was_read(tmp_path, capsys):
    lat, lon, depth = RNG.uniform(-80, 80, N), RNG.uniform(-170, 170, N), RNG.gamma(2, 1, N)
    path = write(tmp_path / "t.csv", depth=depth, lon=lon, lat=lat)
    data = load(path, manifold="S^2 x R^1", protocol="random")
    run = Run(tmp_path)
    stated = Reading(manifold="S^2 x R^1", protocol="random")
    (problem,) = opened(FitRequest(data=path, reading=stated)).problems.values()
    run.write("run.json", problem.described)
    again = run.coordinates()
    assert again == data.coordinates
    np.testing.assert_array_equal(reopened(run).dataset.train, data.train)
    other = write(tmp_path / "u.csv", latitude=lat, extra=lat, depth=depth, longitude=lon)
    second = load(other, **reading_as(other, again))
    np.testing.assert_allclose(points(second), points(data), atol=1e-12)
    document = json.loads((tmp_path / "run.json").read_text())
    document["coordinates"]["parts"] = 3
    (tmp_path / "run.json").write_text(json.dumps(document))
    with pytest.raises(Exception, match=r"run\.json: .*damaged"):
        run.coordinates()


def test_the_audit_shows_units_and_codes_and_leaves_rows_out(tmp_path, capsys):
    a, b, z = RNG.uniform(-180, 180, N), RNG.uniform(-180, 180, N), RNG.normal(size=N)
    a[:6] = 9999
    path = write(tmp_path / "t.csv", phi=a, psi=b, z=z)
    words = ["audit", path, "--manifold", "T^2 x R^1", "--degrees"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "9999 in 10 % of the rows lies apart" in said and "--drop-value 9999" in said
    assert main([*words, "--json", "--drop-value", "phi=9999", "--drop-value", "77"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == N - 6 and found["codes"] == {}
    assert found["warnings"] == ["6 of 60 rows are left out: 6 rows: phi = 9999; 0 rows: 77"]
    assert found["units"] == {"phi": "degrees", "psi": "degrees", "z": "none"}
    assert found["problems"] == ["6 rows: phi = 9999", "0 rows: 77"]
