"""Disks, links, archives and competing processes: what training and files do about them."""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import shutil
import time
import zipfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy_run
from jaxtyping import Array
from toys import Toy

import scorefold as sf
from scorefold.data import DataError, read_table
from scorefold.fitting import (
    DamagedFile,
    DifferentRun,
    DirectoryInUse,
    DiskFull,
    container,
    fit,
    load,
    save,
)
from scorefold.fitting.history import History
from scorefold.fitting.lock import locked
from scorefold.models import ManifoldParzen


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, and its digest."""
    folder = tmp_path_factory.mktemp("run") / "out"
    return folder, toy_run.digest(*toy_run.train(folder))


@pytest.fixture
def copy(finished, tmp_path):
    shutil.copytree(finished[0], tmp_path / "out")
    return tmp_path / "out"


def checkpoints(folder):
    return sorted(folder.glob("checkpoint-*.safetensors"))


# -- room on the disk ------------------------------------------------------------------------------
@pytest.mark.fault(4, "a model and a training on a real disk of one mebibyte that fills up")
def test_a_small_disk(small_disk, tmp_path):
    """What was there stays whole, what was begun is gone, the bytes needed are said; with room
    again the training goes on to the same bits."""
    save(small_disk / "m", sf.Sphere(2))
    (small_disk / "filler").write_bytes(bytes(2**20 - 16 * 4096))
    before = (small_disk / "m").read_bytes()
    big = eqx.nn.Linear(400, 400, key=jax.random.key(0))
    with pytest.raises(DiskFull, match=r"No room for \d+ bytes \(\d+ are free\)") as caught:
        save(small_disk / "m", big)
    assert caught.value.needed > 400 * 400 * 4 and caught.value.filename == str(small_disk / "m")
    assert (small_disk / "m").read_bytes() == before
    (small_disk / "more").write_bytes(bytes(6 * 4096))
    with pytest.raises(DiskFull):
        toy_run.train(small_disk / "out")
    assert not list(small_disk.rglob("*.tmp"))
    (small_disk / "filler").unlink()
    resumed = toy_run.digest(*toy_run.train(small_disk / "out", resume=True))
    assert resumed == toy_run.digest(*toy_run.train(tmp_path / "whole"))


# -- links and archives ----------------------------------------------------------------------------
@pytest.mark.fault(8, "a link in the place of the newest checkpoint")
@pytest.mark.fault(54, "links, pipes and folders among checkpoints")
def test_checkpoints_that_are_links(copy, finished, tmp_path):
    """The link is set aside unread, whatever it leads to; a pipe does not hold the run up; what
    a killed save left over is removed, the targets of links are not."""
    *_, last = checkpoints(copy)
    elsewhere = tmp_path / "elsewhere"
    last.rename(elsewhere)
    last.symlink_to(elsewhere)
    (copy / ".checkpoint-0.safetensors.7.tmp").symlink_to(elsewhere)
    (copy / ".checkpoint-1.safetensors.7.tmp").mkdir()
    kept = elsewhere.read_bytes()
    with pytest.warns(UserWarning, match=r"a link, which is not followed.*the checkpoint before"):
        assert toy_run.digest(*toy_run.train(copy, resume=True)) == finished[1]
    assert elsewhere.read_bytes() == kept
    *_, last = checkpoints(copy)
    last.unlink()
    os.mkfifo(last)
    with pytest.warns(UserWarning, match="not a file"):
        assert toy_run.digest(*toy_run.train(copy, resume=True)) == finished[1]


@pytest.mark.fault(8, "archives whose members climb, start at the root, or are links")
@pytest.mark.parametrize("name", ["../evil.npy", "/evil.npy", "a/../../evil.npy", "C:\\evil.npy"])
def test_members_of_archives_are_no_paths(name, tmp_path):
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "array.npy", np.ones((5, 2)))
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o120777 << 16  # marked as a link
    with zipfile.ZipFile(tmp_path / "in" / "t.npz", "w") as archive:
        archive.writestr(member, (tmp_path / "array.npy").read_bytes())
    with contextlib.suppress(DataError):
        assert read_table(tmp_path / "in" / "t.npz").shape == (5, 2)
    assert os.listdir(tmp_path / "in") == ["t.npz"]
    assert sorted(os.listdir(tmp_path)) == ["array.npy", "in"] and not Path("/evil.npy").exists()


# -- files of other runs ---------------------------------------------------------------------------
class OnManifold(Toy):
    """One weight, on a manifold."""

    manifold: sf.Manifold
    weight: Array | None = None

    def init(self, key, data):
        return OnManifold(self.manifold, jnp.zeros((1,), data.dtype))

    def batch_loss(self, x, key):
        return jnp.broadcast_to(self.weight**2, x.shape[:1])

    def validate(self, x, key):
        return self.weight[0] ** 2


@pytest.mark.fault(9, "a checkpoint of another manifold, of another dtype, of another version")
def test_another_manifold_dtype_or_version(tmp_path):
    def run(manifold, dtype):
        data = np.ones((4, 3), dtype)
        return fit(
            OnManifold(manifold), data, key=jax.random.key(0), steps=2, batch_size=2, out=tmp_path,
            resume=True, progress=False,
        )  # fmt: skip

    run(sf.Sphere(2), np.float32)
    with pytest.raises(DifferentRun, match=r"model.manifold: Sphere there, Euclidean here") as e:
        run(sf.Euclidean(3), np.float32)
    assert set(e.value.fields) == {"model.manifold", "model.manifold.d"}
    with pytest.raises(DifferentRun, match=r"data: float32\[4, 3\].* there, float64\[4, 3\]") as e:
        run(sf.Sphere(2), np.float64)
    assert set(e.value.fields) == {"data"} and str(e.value).isprintable()
    for path in checkpoints(tmp_path):
        arrays, document = container.read(path)
        container.write(path, arrays, {**document, "version": 2})
    with pytest.warns(UserWarning), pytest.raises(DamagedFile, match=r"version 2; .* reads 1"):
        run(sf.Sphere(2), np.float32)


FORGERIES = {
    "no identity": lambda d: d.pop("identity"),
    "an identity of numbers": lambda d: d.update(identity={"data": 1}),
    "a record that is a list": lambda d: d.update(record=[]),
    "a record with a field more": lambda d: d["record"].update(evil=1),
    "a record with a field less": lambda d: d["record"].pop("every"),
    "validations every 0 steps": lambda d: d["record"].update(every=0),
    "text as time": lambda d: d["record"].update(seconds="x"),
    "a run of no steps": lambda d: d["record"].update(total=0),
    "a run of 2⁶⁰ steps": lambda d: d["record"].update(total=2**60),
    "a format of ours": lambda d: d.update(format="scorefold model"),
}


@pytest.mark.fault(5, "checkpoints with the right digest and an impossible record")
@pytest.mark.parametrize("case", FORGERIES)
def test_forged_checkpoints(case, copy):
    first, last = checkpoints(copy)
    first.unlink()
    arrays, document = container.read(last)
    FORGERIES[case](document)
    container.write(last, arrays, document)
    with pytest.raises(DamagedFile) as caught:
        toy_run.train(copy, resume=True)
    assert str(caught.value).isprintable() and len(str(caught.value)) <= 500


@pytest.mark.fault(5, "histories of other types, values and lengths")
def test_histories_that_are_none():
    good = json.loads(
        History(
            np.arange(2), np.ones(2), np.arange(1), np.ones(1), 2, 1, "steps", 1.0, 0.5, 0.5, (0, 1)
        ).to_json()
    )
    assert History.from_json(json.dumps(good)).steps == 2
    wrong: list[object] = [None, [], "x", 7, {}, "[" * 10**5]
    for name in good:
        for value in (None, "x", [], [[1]], {}, "NaN", 1e999, [1, "x"], -(10**30)):
            if not (value == [] and name in ("seed",)) and not isinstance(good[name], type(value)):
                wrong.append({**good, name: value})
    for document in wrong:
        text = document if isinstance(document, str) else json.dumps(document)
        with pytest.raises(DamagedFile):
            History.from_json(text)


# -- two at once -----------------------------------------------------------------------------------
def hold(folder, barrier, log):
    """Write a line when the lock is taken, and one before it is given back; 0 if it was not."""
    barrier.wait()
    for _ in range(20):
        try:
            with locked(folder):
                log.write(b"+")
                time.sleep(0.001)
                log.write(b"-")
        except DirectoryInUse:
            pass


@pytest.mark.fault(13, "six processes that want one lock twenty times each")
def test_processes_that_race_for_a_lock(tmp_path):
    """The folder is made by whoever is first, and at most one is inside at any time."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(6)
    with open(tmp_path / "log", "ab", buffering=0) as log:
        crowd = [
            context.Process(target=hold, args=(tmp_path / "run", barrier, log)) for _ in range(6)
        ]
        for one in crowd:
            one.start()
        for one in crowd:
            one.join(60)
    written = (tmp_path / "log").read_bytes()
    assert [one.exitcode for one in crowd] == [0] * 6
    assert len(written) >= 2 and written == b"+-" * (len(written) // 2)


def write_often(path, barrier, width):
    barrier.wait()
    for _ in range(20):
        save(path, sf.Sphere(width))


@pytest.mark.fault(
    13, "three processes that save to one file twenty times each, and one that reads"
)
def test_processes_that_save_to_one_file(tmp_path):
    """A reader sees the file of one of them, whole."""
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    save(tmp_path / "m", sf.Sphere(1))
    crowd = [
        context.Process(target=write_often, args=(tmp_path / "m", barrier, d)) for d in (1, 2, 3)
    ]
    for one in crowd:
        one.start()
    barrier.wait()
    while any(one.is_alive() for one in crowd):
        assert load(tmp_path / "m").d in (1, 2, 3)
    assert [one.exitcode for one in crowd] == [0] * 3
    assert os.listdir(tmp_path) == ["m"]


# -- memory ----------------------------------------------------------------------------------------
@pytest.mark.fault(38, "a training that runs out of memory after two checkpoints, then goes on")
def test_out_of_memory(finished, tmp_path, monkeypatch):
    import scorefold.fitting.loop as loop

    train = loop.train

    def exhausted(*arguments):
        if len(checkpoints(tmp_path)) == 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes")
        return train(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train", exhausted)
        with pytest.raises(MemoryError, match=r"batch_size=64: lower batch_size.*untouched"):
            toy_run.train(tmp_path)
    assert checkpoints(tmp_path)
    for path in checkpoints(tmp_path):
        container.read(path)
    assert toy_run.digest(*toy_run.train(tmp_path, resume=True)) == finished[1]


def resident():
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.fault(39, "30 calls of log_prob and sample, 8 of save and load: resident memory")
def test_memory_of_repeated_use(tmp_path):
    """A call that kept one of its arrays of 0.6 MB would end 18 MB higher. The allocator takes
    some twenty calls to settle."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    points = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    model = ManifoldParzen.choose(sf.Euclidean(2), points, neighbours=3)
    x = np.resize(points, (80_000, 2))

    def use(times):
        for i in range(times):
            model.log_prob(x).block_until_ready()
            model.sample(jax.random.key(i), 80_000).block_until_ready()
            if i % 4 == 0:
                save(tmp_path / "m", model)
                load(tmp_path / "m")
        gc.collect()

    use(20)
    before = resident()
    use(30)
    assert resident() - before < 9e6
