"""The command line: its words, its files and their keys are a contract."""

import json
import math
import shutil
import socket
import struct
import threading
from http.client import HTTPConnection

import jax
import numpy as np
import pandas as pd
import pytest

import scorefold as sf
from scorefold.cli import main
from scorefold.hub import load_pretrained
from scorefold.runs import Run
from scorefold.runs.models.generalisation import generalisation_lines
from scorefold.serve import Answers, Asked, Server

KEYS = {
    "model", "dataset", "protocol", "seed", "n_train", "n_test", "test_nll", "val_nll", "nfe",
    "normalisation", "train_seconds", "compile_seconds", "steps", "params", "device", "versions",
    "git",
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("settings_of_users")


@pytest.fixture(scope="module")
def run(tmp_path_factory, settings_of_users):
    """One short run on a table of 300 points around the Azores, longitudes written 0…360."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"lat": rng.normal(38, 9, 300), "lon": rng.normal(332, 12, 300)})
    table.to_csv(folder / "azores.csv", index=False)
    words = ["fit", str(folder / "azores.csv"), "--model", "score", "--steps", "300", "--quiet",
             "--width", "64", "--depth", "2", "--batch-size", "128", "--s-min", "1e-2",
             "--out", str(folder / "run")]  # fmt: skip
    assert main(words) == 0
    return folder


@pytest.fixture(scope="module")
def kernels(run):
    """The default model on the same table, 40 steps."""
    words = ["fit", str(run / "azores.csv"), "--steps", "40", "--quiet", "--floor", "0.01",
             "--width", "16", "--depth", "1", "--out", str(run / "kernels")]  # fmt: skip
    assert main(words) == 0
    return run / "kernels"


def test_fit_writes_the_contract(run):
    metrics = json.loads((run / "run" / "metrics.json").read_text())
    assert set(metrics) >= KEYS
    assert metrics["model"] == "score"
    assert metrics["dataset"] == "azores.csv"
    assert metrics["protocol"] == "grouped"
    assert (metrics["n_train"], metrics["n_val"], metrics["n_test"]) == (240, 30, 30)
    assert metrics["steps"] == 300
    # The law they come from, normal with 9° and 12°, has entropy log 2πe·σ₁σ₂ + E log cos lat =
    # −0.58 − 0.26 = −0.84; the mean over 30 points has a standard error of 1/√30 = 0.18. Half a
    # nat is left to the fit.
    assert abs(metrics["test_nll"] + 0.84) < 4 * 0.18 + 0.5
    assert abs(metrics["normalisation"] - 1) < 5 * metrics["normalisation_error"] + 0.02
    assert metrics["versions"]["scorefold"]
    for name in ("report.html", "model.safetensors", "history.json", "run.json"):
        assert (run / "run" / name).stat().st_size > 0


def test_samples_come_in_the_units_that_came_in(run, capsys):
    out = run / "draws.csv"
    assert main(["sample", str(run / "run"), "-n", "200", "--out", str(out), "--steps", "60"]) == 0
    draws = pd.read_csv(out)
    assert list(draws.columns) == ["lat", "lon"]
    assert len(draws) == 200
    assert "degrees" in capsys.readouterr().out
    # Longitudes 0…360 as in the file; the bulk lies where the data do, far west of Greenwich.
    assert draws.lon.between(0, 360).all()
    assert abs(draws.lat.median() - 38) < 5
    assert abs(draws.lon.median() - 332) < 8


def test_evaluate_reads_the_run_again(run, capsys):
    metrics = json.loads((run / "run" / "metrics.json").read_text())
    assert main(["evaluate", str(run / "run"), "--json", "--no-samples"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == 30
    assert found["nll"] == pytest.approx(metrics["test_nll"], abs=1e-5)
    assert "generalisation" not in found
    # Ten copies of one point have its likelihood, with no spread.
    pd.DataFrame({"lat": [38.0] * 10, "lon": [332.0] * 10}).to_csv(run / "ten.csv", index=False)
    assert main(["evaluate", str(run / "run"), str(run / "ten.csv"), "--json", "--no-samples"]) == 0
    assert json.loads(capsys.readouterr().out)["nll_standard_error"] < 1e-4


def test_default_model_writes_the_contract(kernels):
    metrics = json.loads((kernels / "metrics.json").read_text())
    assert set(metrics) >= KEYS | {"floor", "generalisation"}
    assert (metrics["model"], metrics["nfe"], metrics["steps"]) == ("kernel", 0.0, 40)
    assert metrics["floor"] == pytest.approx(0.01, rel=1e-6)
    # The entropy and the standard error as for the score model above; half a nat for the fit.
    assert abs(metrics["test_nll"] + 0.84) < 4 * 0.18 + 0.5
    # Five standard errors of the importance sampling: the kernels are normalised, and what they
    # lose beyond the cut locus is below any of these digits.
    assert metrics["normalisation_error"] < 0.1
    assert abs(metrics["normalisation"] - 1) < 5 * metrics["normalisation_error"]
    text = (kernels / "report.html").read_text()
    for name in ("kernels.png", "training.png", "seen-from-space.png"):
        assert (kernels / name).stat().st_size > 0
    assert not (kernels / "from-noise-to-data.png").exists()
    # The page has the number and the verdict of the document; ratio^d = (1/3)² is the null.
    ratio = metrics["generalisation"]["nearest_ratio"]
    assert ratio["null"] == pytest.approx(1 / 9)
    assert f"<td>{ratio['value']:.3g} ± {ratio['standard_error']:.2g}</td>" in text
    assert f"<td>{ratio['verdict']}</td>" in text


def test_measures_in_a_terminal(kernels):
    """A heading and one line a measure, each ending in the verdict of the document."""
    found = json.loads((kernels / "metrics.json").read_text())["generalisation"]
    names = ["nearest_ratio", "copying", "likelihood_gap", "mmd", "energy_distance",
             "sliced_wasserstein", "wasserstein"]  # fmt: skip
    _, *lines = generalisation_lines(found)
    assert len(lines) == 7
    for name, line in zip(names, lines, strict=True):
        assert line.endswith(found[name]["verdict"])
        assert f"{found[name]['value']:.3g}" in line
    without = {k: v for k, v in found.items() if k != "mmd"} | {"left_out": {"mmd": "why"}}
    assert generalisation_lines(without)[4].endswith("not measured")


def test_default_model_samples_and_evaluates(kernels, capsys):
    out = kernels / "draws.csv"
    assert main(["sample", str(kernels), "-n", "500", "--out", str(out)]) == 0
    draws = pd.read_csv(out)
    assert list(draws.columns) == ["lat", "lon"]
    # Data are normal around (38, 332) with 9 and 12 degrees: medians of 240 points and of 500
    # draws are within 4·1.25·σ·√(1/240 + 1/500) of the centre.
    assert abs(draws.lat.median() - 38) < 4 * 1.25 * 9 * 0.079
    assert abs(draws.lon.median() - 332) < 4 * 1.25 * 12 * 0.079
    capsys.readouterr()
    metrics = json.loads((kernels / "metrics.json").read_text())
    assert main(["evaluate", str(kernels), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["nll"] == pytest.approx(metrics["test_nll"], abs=1e-5)
    assert found["generalisation"] == metrics["generalisation"]
    # The same draws of the same model are judged again, with the same keys.
    assert {"nearest_ratio", "copying", "likelihood_gap", "mmd"} <= set(found["generalisation"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "ode"], "--method is no option of FittedKernelModel: its draws are exact."),
        (["--steps", "20"], "--steps is no option of FittedKernelModel: its draws are exact."),
    ],
)
def test_kernel_models_have_no_sampler_to_choose(kernels, words, said, capsys):
    assert main(["sample", str(kernels), "--out", str(kernels / "no.csv"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (kernels / "no.csv").exists()


def test_the_ode_takes_no_steps(run, capsys):
    words = ["sample", str(run / "run"), "--out", str(run / "no.csv")]
    assert main([*words, "--method", "ode", "--steps", "20"]) == 2
    assert "--method sde" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "option"),
    [
        ("kernel", ["--loss", "denoising"]),
        ("kernel", ["--s-min", "1e-3"]),
        ("kernel", ["--products", "bfloat16"]),
        ("score", ["--floor", "0.1"]),
        ("informed", ["--loss", "denoising"]),
    ],
)
def test_options_of_the_other_model(model, option, run, tmp_path, capsys):
    words = ["fit", str(run / "azores.csv"), "--model", model, *option, "--quiet"]
    assert main([*words, "--out", str(tmp_path / "other")]) == 2
    assert f"{option[0]} is not an option of --model {model}." in capsys.readouterr().err
    assert not (tmp_path / "other" / "metrics.json").exists()


@pytest.mark.fault(51, "a second fit into a finished folder")
def test_finished_run_is_not_overwritten(run, capsys):
    before = (run / "run" / "model.safetensors").read_bytes()
    words = ["fit", str(run / "azores.csv"), "--steps", "1", "--out", str(run / "run")]
    assert main(words) == 2
    assert "--resume" in capsys.readouterr().err
    assert (run / "run" / "model.safetensors").read_bytes() == before


def test_audit_counts_what_is_there(tmp_path, capsys):
    table = pd.DataFrame({"lat": [1.0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "lon": np.arange(10.0) // 2})
    table.loc[1] = table.loc[0]
    table.to_csv(tmp_path / "t.csv", index=False)
    assert main(["audit", str(tmp_path / "t.csv"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["unique"], found["duplicates"]) == (10, 9, 1)


def test_datasets_are_listed(capsys):
    assert main(["datasets", "--json"]) == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert names >= {"volcano", "earthquake", "flood", "fire", "rna", "lysine", "ebsd", "airports"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fti", "airports"], "Did you mean 'fit'?"),
        (["fit", "airprots"], "Did you mean 'airports'?"),
        (["fit", "airports", "--budgte", "3"], "Did you mean '--budget'?"),
        (["fit", "airports", "--protocol", "groupd"], "Did you mean 'grouped'?"),
        (["fit", "airports", "--model", "scroe"], "Did you mean 'score'?"),
        (["fit", "nowhere.csv"], "No file nowhere.csv"),
        (["fit", "airports", "--steps", "0"], "whole number"),
        (["fit", "airports", "--steps", "5", "--budget", "5"], "not allowed with"),
        (["sample", "no-such-run", "--out", "x.csv"], "no folder no-such-run"),
        (["evaluate", "no-such-run"], "no folder no-such-run"),
        (["sample", ".", "--out", "x.pkl"], "ending must be one of"),
    ],
)
def test_mistakes_are_one_readable_line(words, said, capsys):
    assert main(words) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_wrong_column_names_the_nearest(tmp_path, capsys):
    pd.DataFrame({"latitude": [1.0] * 20, "longitude": [2.0] * 20}).to_csv(
        tmp_path / "t.csv", index=False
    )
    words = ["fit", str(tmp_path / "t.csv"), "--columns", "latitude,longitud"]
    assert main([*words, "--manifold", "S^2"]) == 2
    assert "'longitude'" in capsys.readouterr().err


def test_bad_rows_are_named(tmp_path, capsys):
    table = pd.DataFrame({"lat": np.linspace(-60, 60, 30), "lon": np.linspace(0, 90, 30)})
    table.loc[7, "lat"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    assert main(["fit", str(tmp_path / "t.csv")]) == 2
    assert "7" in capsys.readouterr().err


def test_draws_as_geojson(run, kernels, capsys):
    """The places of the table of the same draws, longitudes in −180…180, read back by the same
    reader; a law that has no places says which files there are."""
    words = ["sample", str(kernels), "-n", "50"]
    assert main([*words, "--out", str(run / "draws.geojson")]) == 0
    assert main([*words, "--out", str(run / "draws2.csv")]) == 0
    back = sf.data.load(str(run / "draws.geojson"), protocol="random")
    table = pd.read_csv(run / "draws2.csv")
    np.testing.assert_allclose(back.values[:, 0], table["lat"], atol=1e-8)
    np.testing.assert_allclose(back.values[:, 1] % 360, table["lon"], atol=1e-8)
    plane = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["u", "v"])
    plane.to_csv(run / "plane.csv", index=False)
    fit = ["fit", str(run / "plane.csv"), "--manifold", "R^2", "--model", "kde", "--quiet"]
    assert main([*fit, "--out", str(run / "plane")]) == 0
    capsys.readouterr()
    assert main(["sample", str(run / "plane"), "--out", str(run / "p.geojson")]) == 2
    said = capsys.readouterr().err
    assert "GeoJSON is of places in latitude and longitude, and the columns are u, v" in said
    assert ".csv, .tsv, .parquet, .npy" in said


def test_regions_of_a_run(run, kernels, capsys):
    """GeoJSON with the numbers of each mass: 30 test points, within four standard errors of the
    mass; the larger region holds the smaller. Without its table there is no coverage."""
    out = run / "regions.geojson"
    words = ["regions", str(kernels), "-n", "2000", "--resolution", "64", "--mass", ".5,.9"]
    assert main([*words, "--out", str(out)]) == 0
    assert "50 %: log p ≥" in capsys.readouterr().out
    small, large = json.loads(out.read_text())["features"]
    assert small["properties"]["area"] < large["properties"]["area"]
    for one, mass in ((small, 0.5), (large, 0.9)):
        found = one["properties"]
        assert found["mass"] == mass and found["coverage_n"] == 30
        assert abs(found["coverage"] - mass) < 4 * found["coverage_error"]
        (lon, lat), *_ = one["geometry"]["coordinates"][0][0]
        assert 0 < lat < 80 and -80 < lon < 20
    with_data = ["regions", str(kernels), "-n", "2000", "--mass", ".7", "--calibrate"]
    assert main([*with_data, "--out", str(run / "calibrated.json")]) == 0
    (found,) = json.loads((run / "calibrated.json").read_text())["regions"]
    assert found["held_out"] == 30 and found["mass"] == 0.7
    assert found["mass_error"] == pytest.approx(math.sqrt(0.21 / 30))
    assert abs(found["coverage"] - 0.7) < 4 * found["coverage_error"]
    assert main([*with_data[:-2], ".95", "--calibrate", "--out", str(run / "no.json")]) == 2
    said = capsys.readouterr().err
    assert "--calibrate, by the validation points of the run: 100 points are needed" in said
    (run / "azores.csv").rename(run / "away.csv")
    try:
        assert main([*with_data, "--out", str(run / "no.json")]) == 2
        assert "--calibrate needs the data of the run" in capsys.readouterr().err
        assert main([*words, "--out", str(run / "regions.json")]) == 0
    finally:
        (run / "away.csv").rename(run / "azores.csv")
    assert "No coverage of test points" in capsys.readouterr().err
    document = json.loads((run / "regions.json").read_text())
    assert document["manifold"] == "S^2" and document["regions"][0]["coverage"] is None
    assert document["regions"][1]["area"] == large["properties"]["area"]


def test_export_writes_a_folder_of_the_hub(kernels, run, capsys):
    out = run / "hub"
    words = ["export", str(kernels), "--out", str(out)]
    assert main([*words, "--licence", "cc-by-4.0", "--intended-use", "maps | of rain"]) == 0
    said = capsys.readouterr()
    assert "the weights hold 240 points or more" in said.err and "not stated" not in said.err
    model, card = load_pretrained(out), (out / "README.md").read_text()
    x = model.sample(jax.random.key(0), 5)
    np.testing.assert_array_equal(model.log_prob(x), Run.open(kernels).model().log_prob(x))
    nll = Run.open(kernels).metrics()["test_nll"]
    header = card.split("---")[1]
    assert f'"value": {nll!r}' in header and 'license: "cc-by-4.0"' in header
    assert f"| test NLL | {nll:.4f} nats, 30 points |" in card
    assert "azores.csv" in card and str(run) not in card and r"maps \| of rain" in card
    config = json.loads((out / "config.json").read_text())
    assert config["coordinates"]["columns"] == ["lat", "lon"]
    assert main(words) == 0  # an earlier export is replaced
    assert "not stated, and the card says so: --licence, --intended-use." in capsys.readouterr().err
    (out / "config.json").unlink()  # as one that was interrupted has left it
    assert main(words) == 0
    other = run / "bert"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "bert"}')
    (other / "density.png").write_bytes(b"mine")
    assert main(["export", str(kernels), "--out", str(other)]) == 2
    assert "a model of another library ('bert')" in capsys.readouterr().err
    assert (other / "density.png").read_bytes() == b"mine"
    for folder, reason in ((run, "holds other files"), (kernels, "the folder of the run itself"),
                           (run / "azores.csv", "a file is there")):  # fmt: skip
        assert main(["export", str(kernels), "--out", str(folder)]) == 2
        assert reason in capsys.readouterr().err


def test_cite_names_what_a_run_is_built_on(kernels, run, capsys):
    assert main(["cite", str(kernels), str(run / "run")]) == 0
    found = capsys.readouterr().out
    assert found.count("zhang2024wasserstein") == 1 and "debortoli2022riemannian" in found
    assert main(["cite", str(run)]) == 2


def test_serve_answers_what_is_asked_of_runs(kernels, run):
    answers = Answers([kernels, run / "run"])
    described = answers.answer("runs", {})["runs"]
    assert [one["name"] for one in described] == ["kernels", "run"]
    assert [c["name"] for c in described[0]["columns"]] == ["lat", "lon"]
    drawn = answers.answer("draw", {"run": "kernels", "n": 5, "seed": 3})
    model, rows = Run.open(kernels).model(), np.array(drawn["rows"])
    points = Run.open(kernels).coordinates().to_points(rows)
    np.testing.assert_allclose(points, model.sample(jax.random.key(3), 5), atol=1e-6)
    assert (rows[:, 1] > 180).all()  # longitudes as the table wrote them
    asked = {"run": "kernels", "rows": [*rows.tolist(), [95.0, 0.0]]}
    found = answers.answer("density", asked)["log_prob"]
    np.testing.assert_allclose(found[:5], model.log_prob(points), rtol=1e-5)
    assert found[5] is None
    # Along a parallel of 60 degrees a turn of 30 degrees is π/12 long, and p / ∫p integrates to 1.
    cut = answers.answer("cut", {"run": "kernels", "vary": "lon", "at": {"lat": 60.0},
                                 "from": 310.0, "to": 340.0, "n": 301})  # fmt: skip
    length, share = np.array(cut["length"]), np.array(cut["conditional"])
    np.testing.assert_allclose(length[-1], np.pi / 12, rtol=1e-4)
    np.testing.assert_allclose(np.trapezoid(share, length), 1.0, rtol=1e-6)
    logs = np.array(cut["log_prob"])
    ratio = np.log(share) - logs
    np.testing.assert_allclose(ratio, ratio[0], atol=1e-6)


@pytest.mark.parametrize(
    "question, asked, reason",
    [
        ("open", {}, "no question is called 'open'"),
        ("draw", {"run": "x"}, "run: one of kernels, got 'x'"),
        ("draw", {"run": "kernels", "n": 10**9}, "n: a whole number from 1 to 100000"),
        ("draw", {"run": "kernels", "seed": True}, "seed: a whole number"),
        ("density", {"run": "kernels", "rows": [[1.0]]}, "rows: 1 to 100000 lists of 2 numbers"),
        ("density", {"run": "kernels", "rows": "a"}, "rows: 1 to"),
        ("density", {"run": [1]}, "run: one of kernels, got [1]"),
        ("cut", {"run": "kernels", "vary": "lat", "from": -(10**400)}, "from: a number"),
        ("cut", {"run": "kernels", "vary": "lon", "at": {"lat": 90}}, "has no length there"),
        ("cut", {"run": "kernels", "vary": "z"}, "vary: one of lat, lon"),
        ("cut", {"run": "kernels", "vary": "lat", "from": 3, "to": 3}, "3 is not below 3"),
        ("cut", {"run": "kernels", "vary": "lon", "at": {"lat": 99}}, "leaves the space"),
    ],
)
def test_serve_refuses_in_one_line(kernels, question, asked, reason):
    with pytest.raises(Asked) as refused:
        Answers([kernels]).answer(question, asked)
    assert reason in str(refused.value)


def test_serve_speaks_to_who_knows_the_token(kernels):
    server = Server(Answers([kernels]))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def ask(method, path, body=None, host=None):
        link = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        link.request(method, path, body, {"Host": host} if host else {})
        reply = link.getresponse()
        found = reply.status, dict(reply.getheaders()), reply.read().decode()
        link.close()
        return found

    token = f"?token={server.token}"
    try:
        assert server.server_address[0] == "127.0.0.1"
        status, headers, page = ask("GET", "/" + token)
        assert status == 200 and "default-src 'self'" in headers["Content-Security-Policy"]
        assert server.token not in page
        assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
        assert ask("GET", "/report/kernels" + token)[0] == 200
        assert json.loads(ask("POST", "/ask/draw" + token, '{"run": "kernels", "n": 2}')[2])["rows"]
        for method, path, body, host, code in (
            ("GET", "/", None, None, 403),
            ("GET", "/?token=" + server.token[:-1] + "é", None, None, 403),
            ("GET", "/" + token, None, "elsewhere.example", 403),
            ("GET", "/report/..%2f..%2frun.json" + token, None, None, 404),
            ("GET", "/model.safetensors" + token, None, None, 404),
            ("POST", "/ask/draw" + token, "[" * 10**5, None, 400),
            ("POST", "/ask/draw" + token, "[1]", None, 400),
            ("POST", "/draw" + token, "{}", None, 404),
            ("POST", "/ask/draw" + token, '{"run": "kernels", "n": -1}', None, 400),
            ("PUT", "/" + token, "x", None, 501),
        ):
            if "é" in path:
                path = path.replace("é", "%C3%A9")
            status, _, said = ask(method, path, body, host)
            assert (status, path) == (code, path)
            if status != 501:
                assert "\n" not in json.loads(said)["error"]
    finally:
        server.shutdown()
        server.server_close()


def test_serve_goes_on_beside_a_damaged_run(kernels, run):
    bad = run / "damaged"
    shutil.copytree(kernels, bad)
    (bad / "model.safetensors").write_bytes(b"nothing")
    answers = Answers([kernels, bad])
    whole, damaged = answers.answer("runs", {})["runs"]
    assert whole["kind"] == "model" and "truncated" in damaged["error"]
    assert len(answers.answer("draw", {"run": "kernels", "n": 2})["rows"]) == 2


def test_serve_says_nothing_of_who_has_gone(kernels, capfd):
    server = Server(Answers([kernels]))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        for _ in range(3):
            with socket.create_connection(server.server_address) as link:
                reset = struct.pack("ii", 1, 0)
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                link.sendall(f"GET /?token={server.token} HTTP/1.1\r\nHost: 127.0.0.1:"
                             f"{server.server_port}\r\n\r\n".encode())  # fmt: skip
        with socket.create_connection(server.server_address) as link:
            link.sendall(b"GET http://[bad/ HTTP/1.0\r\n\r\n")
            assert b" 400 " in link.recv(100)
    finally:
        server.shutdown()
        server.server_close()
    assert "Traceback" not in capfd.readouterr().err
