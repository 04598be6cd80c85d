"""Two processes that train one model on a mesh of both."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

SCRIPT = """
import sys
import jax, numpy as np
number, count, port, out, resume, odd = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
if count > 1:
    jax.config.update("jax_num_cpu_devices", 2)
    jax.distributed.initialize("127.0.0.1:" + port, count, number, heartbeat_timeout_seconds=10)
import scorefold as sf
rng = np.random.default_rng(0)
x = rng.normal(size=(700, 3)) * .3 + [0, 0, 1]
x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype("f")
if odd == "other data":
    x[0] = x[number]
noising = sf.default_noising(sf.Sphere(2), x[5:600])
model, history = sf.fit(
    sf.ScoreModel(noising, network=sf.NetworkSpec(width=16, depth=1)), x[:600], val=x[600:],
    key=jax.random.key(1), mesh=sf.device_mesh() if count > 1 else None, batch_size=50,
    out=out or None, resume=bool(resume), progress=False,
    **(dict(budget=20) if odd == "budget" else dict(steps=300, validate_every=30)))
print(history.steps, history.stopped, *np.asarray(model.log_prob(x[:3])).tolist())
"""


def _start(*arguments):
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    words = [sys.executable, "-c", SCRIPT, *map(str, arguments)]
    return subprocess.Popen(
        words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _both(out="", resume="", odd=""):
    port = _port()
    processes = [_start(k, 2, port, out, resume, odd) for k in (0, 1)]
    said = [p.communicate(timeout=240) for p in processes]
    return [p.returncode for p in processes], said


def _numbers(text):
    """Steps and densities, in the last line: the library of the connection prints others."""
    steps, _, *densities = text.splitlines()[-1].split()
    return np.asarray([steps, *densities], float)


@pytest.fixture(scope="module")
def alone():
    process = _start(0, 1, 0, "", "", "")
    said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return said[0]


def test_two_processes_train_what_one_trains(alone):
    codes, said = _both()
    assert codes == [0, 0], said
    assert _numbers(said[0][0]).tolist() == _numbers(said[1][0]).tolist()
    np.testing.assert_allclose(_numbers(said[0][0]), _numbers(alone), rtol=2e-3, atol=2e-3)


def test_a_budget_is_the_same_number_of_steps_for_both():
    codes, said = _both(odd="budget")
    assert codes == [0, 0], said
    assert _numbers(said[0][0]).tolist() == _numbers(said[1][0]).tolist()


def test_other_data_in_one_of_them_are_found():
    codes, said = _both(odd="other data")
    assert codes == [1, 1]
    assert all("started with different things: data." in err for _, err in said)


def test_a_killed_process_ends_the_other_and_the_run_goes_on(tmp_path, alone):
    out, port = tmp_path / "run", _port()
    processes = [_start(k, 2, port, out, "", "") for k in (0, 1)]
    until = time.monotonic() + 200
    while not list(out.glob("checkpoint-*")) and time.monotonic() < until:
        time.sleep(0.05)
    processes[1].kill()
    processes[1].communicate()
    _, said = processes[0].communicate(timeout=100)
    finished = processes[0].returncode == 0
    assert finished or "another task died" in said or "Connection closed" in said
    codes, said = _both(out, "resume")
    assert codes == [0, 0], said
    np.testing.assert_allclose(_numbers(said[0][0]), _numbers(alone), rtol=2e-3, atol=2e-3)


def test_a_signal_to_one_stops_both_with_a_checkpoint(tmp_path):
    out, port = tmp_path / "run", _port()
    processes = [_start(k, 2, port, out, "", "") for k in (0, 1)]
    until = time.monotonic() + 200
    while not list(out.glob("checkpoint-*")) and time.monotonic() < until:
        time.sleep(0.05)
    processes[1].send_signal(signal.SIGTERM)
    said = [p.communicate(timeout=100)[1] for p in processes]
    assert all("SIGTERM: stopped at step" in text for text in said)


def test_the_command_line_in_two_processes(tmp_path):
    rng = np.random.default_rng(0)
    table = tmp_path / "points.csv"
    rows = np.c_[rng.uniform(-60, 60, 200), rng.uniform(-100, 100, 200)]
    np.savetxt(table, rows, delimiter=",", header="lat,lon", comments="")
    out, port = tmp_path / "run", _port()
    words = [sys.executable, "-m", "scorefold", "fit", str(table), "--steps", "20", "--quiet",
             "--no-report", "--out", str(out), "--distributed"]  # fmt: skip
    env = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    processes = [
        subprocess.Popen([*words, f"127.0.0.1:{port},{k},2"], env=env, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
        for k in (0, 1)
    ]  # fmt: skip
    said = [p.communicate(timeout=400) for p in processes]
    assert [p.returncode for p in processes] == [0, 0], said
    assert "test_nll" in json.loads((out / "metrics.json").read_text())
    assert "trained with the others" in said[1][0]
