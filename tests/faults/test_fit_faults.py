"""What interrupts a run, and what is wrong with its directory, its data or its loss."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_run
from jaxtyping import Array
from toys import Toy

from scorefold import ScorefoldWarning
from scorefold.fitting import (
    DamagedFile,
    DifferentRun,
    DirectoryInUse,
    DiskFull,
    Interrupted,
    NonFiniteLoss,
    fit,
    fit_seeds,
)
from scorefold.fitting.lock import locked


class Untouched(Toy):
    def init(self, key, data):
        raise AssertionError("the directory should be looked at first")

    def batch_loss(self, x, key):
        raise NotImplementedError

    def validate(self, x, key):
        raise NotImplementedError


@pytest.fixture(scope="module")
def uninterrupted():
    return toy_run.digest(*toy_run.train(None))


def child(out, *arguments, **kwargs):
    return subprocess.Popen(
        [sys.executable, toy_run.__file__, str(out), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs,
    )  # fmt: skip


def checkpoints(out):
    return sorted(p.name for p in Path(out).glob("checkpoint-*"))


@pytest.mark.parametrize("save", [1, 4])
@pytest.mark.fault(1, "SIGKILL in the first and in the fourth save, then resumed")
@pytest.mark.fault(2, "SIGKILL between write and rename; the leftover is removed")
@pytest.mark.fault(37, "one training in this process and in fresh ones: the same bits")
def test_killed_in_a_save(tmp_path, uninterrupted, save):
    """SIGKILL between write and rename: the last commit loads, the leftover goes, and the run
    ends with the bits of one that was never killed."""
    run = child(tmp_path, f"kill-in-save={save}")
    run.communicate(timeout=120)
    assert run.returncode == -signal.SIGKILL
    assert list(tmp_path.glob(".checkpoint-*.tmp"))
    assert len(checkpoints(tmp_path)) == min(save - 1, 2)
    assert toy_run.digest(*toy_run.train(tmp_path, resume=True)) == uninterrupted
    assert not list(tmp_path.glob(".*"))
    # A finished run is only read again.
    assert toy_run.digest(*toy_run.train(tmp_path, resume=True)) == uninterrupted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.fault(3, "SIGINT and SIGTERM while training; the handlers of before return")
def test_signal(tmp_path, uninterrupted, number, capsys):
    """The run saves and says how to go on; the exit code is the shell's; the handlers return."""
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    main = threading.main_thread().ident

    def when_started():
        while not checkpoints(tmp_path):
            time.sleep(0.001)
        signal.pthread_kill(main, number)

    thread = threading.Thread(target=when_started)
    thread.start()
    with pytest.raises(Interrupted, match=rf"{number.name}: stopped at step \d+ of 400") as caught:
        toy_run.train(tmp_path)
    thread.join()
    assert caught.value.code == 128 + number and caught.value.path.exists()
    assert "resume=True" in capsys.readouterr().err
    assert handlers == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    assert toy_run.digest(*toy_run.train(tmp_path, resume=True)) == uninterrupted


@pytest.mark.fault(3, "a second signal while a save hangs")
@pytest.mark.fault(11, "a second run while the first saves; its lock dies with it")
def test_signal_twice_and_two_runs_in_one_directory(tmp_path, uninterrupted):
    """While a process hangs in its third save: a second run is refused by name; the first
    signal waits for the save, the second ends it at once; the checkpoints before are whole."""
    run = child(tmp_path, "wait-in-save=3")
    assert run.stdout.readline() == "saving\n"
    with pytest.raises(DirectoryInUse, match=f"in use by the run of process {run.pid}") as caught:
        toy_run.train(tmp_path, resume=True)
    assert caught.value.pid == run.pid
    run.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert run.poll() is None
    since = time.monotonic()
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=10) == 143
    assert time.monotonic() - since < 2
    run.communicate()
    assert len(checkpoints(tmp_path)) == 2
    # Its lock died with it.
    assert toy_run.digest(*toy_run.train(tmp_path, resume=True)) == uninterrupted


@pytest.mark.fault(11, "a lock taken twice, and one left by a process that is gone")
def test_lock_is_released(tmp_path):
    with locked(tmp_path), pytest.raises(DirectoryInUse, match=str(os.getpid())), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass
    # A file left by a process that is gone (or whose number now is another's) holds nobody up.
    (tmp_path / "run.lock").write_text("1\n")
    with locked(tmp_path):
        assert (tmp_path / "run.lock").read_text() == f"{os.getpid()}\n"


@pytest.mark.fault(4, "no room in the third save of a training, which then goes on")
def test_disk_full(tmp_path, uninterrupted, monkeypatch):
    def no_room():
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", os.fsync)
        toy_run.at_save(3, no_room)
        with pytest.raises(DiskFull, match=r"No room for \d+ bytes \(\d+ are free\)") as caught:
            toy_run.train(tmp_path)
    size = (tmp_path / checkpoints(tmp_path)[-1]).stat().st_size
    assert abs(caught.value.needed - size) < 200
    assert len(checkpoints(tmp_path)) == 2 and not list(tmp_path.glob(".*"))
    assert toy_run.digest(*toy_run.train(tmp_path, resume=True)) == uninterrupted


@pytest.mark.fault(10, "checkpoints below a plain file")
def test_unwritable_directory_fails_before_compiling(tmp_path):
    """Below a plain file no directory can be made (by anyone: permissions do not bind root)."""
    (tmp_path / "file").write_text("")

    since = time.monotonic()
    with pytest.raises(OSError, match="Nothing can be written here"):
        fit(Untouched(), toy_run.DATA, key=jax.random.key(0), out=tmp_path / "file" / "out")
    assert time.monotonic() - since < 1


@pytest.mark.fault(9, "a checkpoint of other settings, data, widths and keys")
def test_another_run(tmp_path):
    """Every difference is named, and nothing else; without ``resume`` nothing is overwritten."""
    toy_run.train(tmp_path, steps=100)
    with pytest.raises(FileExistsError, match="pass resume=True"):
        toy_run.train(tmp_path, steps=100)
    with pytest.raises(DifferentRun, match=r"settings.batch_size: 64 there, 32 here") as caught:
        toy_run.train(tmp_path, steps=200, resume=True, batch_size=32)
    assert set(caught.value.fields) == {"settings.batch_size", "plan.steps"}
    with pytest.raises(DifferentRun) as caught:
        kwargs = {"batch_size": 64, "validate_every": 100, "steps": 100, "progress": False}
        keys = [jax.random.key(7)]
        data, val = np.copy(toy_run.DATA), toy_run.VAL
        data[3, 0] += 1
        fit_seeds(toy_run.Net(8), data, val=val, keys=keys, out=tmp_path, resume=True, **kwargs)
    assert set(caught.value.fields) == {"model.width", "data", "key"}


@pytest.mark.fault(5, "the last checkpoint cut in half, then a bit flipped in each")
def test_damaged_checkpoints(tmp_path, uninterrupted):
    """Cut short, then one bit flipped: the one before is used, with a warning; if that is
    damaged too, a named error."""
    toy_run.train(tmp_path)
    last = tmp_path / checkpoints(tmp_path)[-1]
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    with pytest.warns(UserWarning, match=r"truncated.*Using the checkpoint before"):
        model, history = toy_run.train(tmp_path, resume=True)
    assert toy_run.digest(model, history) == uninterrupted
    for name in checkpoints(tmp_path):
        if name.endswith(".safetensors"):
            raw = bytearray((tmp_path / name).read_bytes())
            raw[len(raw) // 2] ^= 4
            (tmp_path / name).write_bytes(bytes(raw))
    with (
        pytest.warns(UserWarning, match="do not agree with their SHA-256"),
        pytest.raises(DamagedFile, match="do not agree with their SHA-256"),
    ):
        toy_run.train(tmp_path, resume=True)


class Spoiled(Toy):
    """Losses that are not finite somewhere: at rows with a negative coordinate (with ``noise``: or
    where the draw is), where the squares overflow, without a derivative, or after a while."""

    kind: str
    weight: Array | None = None

    def init(self, key, data):
        return Spoiled(self.kind, jnp.ones((1,), data.dtype))

    def batch_loss(self, x, key):
        if self.kind == "rows":
            return self.weight[0] ** 2 + jnp.log(x[:, 0])
        if self.kind == "noise":
            return self.weight[0] ** 2 + jnp.log(
                x[:, 0] + jax.random.normal(key, x.shape[:1], x.dtype)
            )
        if self.kind == "square":
            return self.weight[0] * x[:, 0] ** 2
        if self.kind == "gradient":
            return jnp.sqrt(jnp.abs(x[:, 0] * (self.weight[0] - 1.0)))
        return -jnp.exp(jnp.exp(self.weight[0] * x[:, 0]))

    def validate(self, x, key):
        return self.weight[0] ** 2


def spoiled(n=1000):
    data = np.ones((n, 1), np.float32)
    data[[137, 700]] = -1.0
    return data


def bad_rows(step):
    """The negative rows of the batch at a step."""
    from scorefold.fitting.batches import batch_rows

    order = jax.random.fold_in(jax.random.key(0), 0)
    rows = np.asarray(batch_rows(order, jnp.int32(step), 1000, 8))
    return set(rows.tolist()) & {137, 700}


@pytest.mark.fault(33, "log of negative data: the best state comes back, exactly those rows named")
def test_a_good_state_survives_a_loss_that_is_not_finite(tmp_path):
    """The best state on validation comes back with a warning that names exactly the rows with a
    negative coordinate and the step; a resumed run says and returns the same."""
    found = []
    for resume in (False, True):
        with pytest.warns(ScorefoldWarning, match=r"not finite at step \d+, data rows") as caught:
            model, history = fit(
                Spoiled("rows"), spoiled(), val=np.ones((4, 1), np.float32),
                key=jax.random.key(0), batch_size=8, steps=500, out=tmp_path, resume=resume,
                progress=False, save_every=0.0,
            )  # fmt: skip
        found.append((model, str(caught[0].message)))
        assert history.stopped == "not finite"
    message = found[0][1]
    step = int(re.search(r"at step (\d+)", message).group(1))
    bad = [bad_rows(t) for t in range(step + 1)]
    assert step == history.steps > 0 and not any(bad[:step]) and bad[step]
    assert f"data rows {', '.join(map(str, sorted(bad[step])))}. " in message
    assert "undefined at these rows; look" in message
    assert f"best state on validation, that of step {history.best_step}" in message
    assert float(model.weight[0]) ** 2 == pytest.approx(history.val_nll.min(), rel=1e-6)
    assert found[0][1] == found[1][1] and eqx.tree_equal(found[0][0], found[1][0])


def test_without_held_out_points_the_average_survives():
    with pytest.warns(ScorefoldWarning, match=r"average after \d+ steps, which no held-out"):
        model, history = fit(
            Spoiled("rows"), spoiled(), key=jax.random.key(0), batch_size=8, steps=500,
            progress=False,
        )  # fmt: skip
    assert history.stopped == "not finite" and history.best_step == history.steps
    assert np.isfinite(model.weight).all() and float(model.weight[0]) < 1.0


@pytest.mark.parametrize(
    ("kind", "scale", "message"),
    [
        ("rows", -1.0, "undefined at these rows; look"),
        ("noise", 0.5, "undefined at these rows for the noise drawn"),
        ("square", 1e30, r"of size 1e\+30, and squares of that leave float32"),
        ("rows", 0.0, "undefined at these rows; look"),
    ],
)
def test_messages_before_any_step(kind, scale, message):
    """No rate has been used: nothing is said about it."""
    data = scale * np.ones((20, 1), np.float32)
    with pytest.raises(NonFiniteLoss, match=message) as caught:
        fit(Spoiled(kind), data, key=jax.random.key(0), steps=5, progress=False)
    assert caught.value.step == 0 and len(caught.value.rows)
    assert "learning_rate" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("kind", "message"), [("gradient", "gradient of their mean"), ("grow", "lower")]
)
@pytest.mark.fault(33, "a gradient without value, a loss that runs away")
def test_non_finite_causes(kind, message):
    """√|w − 1| at w = 1 has a finite value and no derivative; −exp(exp(w)) runs away."""
    data = np.ones((20, 1), np.float32)
    with pytest.raises(NonFiniteLoss, match=message):
        fit(
            Spoiled(kind), data, key=jax.random.key(0), batch_size=4, steps=2000, warmup=0,
            learning_rate=0.05, progress=False,
        )  # fmt: skip
