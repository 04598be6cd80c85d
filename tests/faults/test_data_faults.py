"""Hostile, broken and misread files; interrupted and competing downloads."""

import dataclasses
import gzip
import hashlib
import io
import os
import pickle
import socketserver
import struct
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler

import numpy as np
import pytest

from scorefold.data import REGISTRY, DataError, load, read_table
from scorefold.data.sources.download import locate

GOOD = b"lat,lon\n1,2\n3,4\n5,6\n7,8\n"


class Canary:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def npy_header(shape, descr="<f8"):
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@pytest.mark.fault(6, "a canary in six tables: arrays of objects, pickles, an archive of PyTorch")
def test_pickles_are_refused_without_running(tmp_path):
    canary = tmp_path / "ran"
    payload = np.array([Canary(canary)], dtype=object)
    np.save(tmp_path / "object.npy", payload, allow_pickle=True)
    np.savez(tmp_path / "object.npz", a=payload)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(Canary(canary)))
    (tmp_path / "renamed.npy").write_bytes(pickle.dumps(Canary(canary)))
    (tmp_path / "renamed.csv").write_bytes(pickle.dumps(Canary(canary)))
    with zipfile.ZipFile(tmp_path / "torch.npz", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Canary(canary)))
    for name, message in (
        ("object.npy", "Python objects"),
        ("object.npz", "Python objects"),
        ("model.pkl", "never loaded"),
        ("renamed.npy", "not an NPY array"),
        ("renamed.csv", "binary file|not UTF-8"),
        ("torch.npz", r"data.pkl' is not an array"),
    ):
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / name)
    assert not canary.exists()


@pytest.mark.fault(7, "headers of terabytes, products beyond 64 bits, bombs of zip and gzip")
def test_claims_and_bombs_are_refused_before_allocation(tmp_path):
    (tmp_path / "huge.npy").write_bytes(npy_header((10**12, 2)) + bytes(64))
    (tmp_path / "short.npy").write_bytes(npy_header((100, 2)) + bytes(64))
    (tmp_path / "wrap.npy").write_bytes(npy_header((2**62, 8)) + bytes(64))
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_header((2**24,), "|u1") + bytes(2**24))
    (tmp_path / "bomb.csv.gz").write_bytes(gzip.compress(b"1,2\n" * 2**25, 1))
    for name, options, message in (
        ("huge.npy", {}, "claims 16000000000000 bytes"),
        ("short.npy", {}, "claims 1600 bytes of data, the file holds 64"),
        ("wrap.npy", {}, "claims"),
        ("bomb.npz", {"max_bytes": 2**20}, "claims 16777"),
        ("bomb.csv.gz", {}, "expands to more than"),
    ):
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / name, **options)


@pytest.mark.fault(7, "a directory that promises 2 GiB in a kilobyte")
def test_a_forged_directory_entry_is_refused(tmp_path):
    """The directory claims 2 GiB for 1 kB of compressed data: no deflate stream can do that."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_header((8,)) + bytes(64))
    raw = bytearray(buffer.getvalue())
    at = raw.index(b"PK\x01\x02")
    raw[at + 24 : at + 28] = struct.pack("<I", 2**31 - 1)
    (tmp_path / "forged.npz").write_bytes(raw)
    with pytest.raises(DataError, match="claims 2147483647 bytes"):
        read_table(tmp_path / "forged.npz")


@pytest.mark.parametrize("fraction", range(1, 16, 2))
@pytest.mark.parametrize("kind", ["npy", "npz", "csv.gz", "parquet"])
@pytest.mark.fault(5, "tables of four formats cut at eight places")
def test_truncated_files_are_named(kind, fraction, tmp_path):
    import pandas as pd

    x = np.random.default_rng(0).normal(size=(200, 2))
    path = tmp_path / f"t.{kind}"
    if kind == "npy":
        np.save(path, x)
    elif kind == "npz":
        np.savez(path, x=x)
    elif kind == "parquet":
        pd.DataFrame(x, columns=["a", "b"]).to_parquet(path)
    else:
        path.write_bytes(gzip.compress(pd.DataFrame(x).to_csv(index=False).encode()))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * fraction // 16])
    with pytest.raises(DataError, match=r"t\."):
        read_table(path)


BAD_TABLES = {
    "NaN rows are named": ("lat,lon\n1,2\nnan,3\n4,\n5,6\n", {}, "'lat', row 1: not a finite"),
    "inf rows are named": ("lat,lon\n1,2\n1,3\n4,-inf\n5,6\n", {}, "'lon', row 2: not a finite"),
    "text is named": ("lat,lon\n1,2\n1,south\n4,1\n", {}, "row 1.*'south'"),
    "latitude out of range": ("lat,lon\n1,2\n91,3\n4,1\n", {}, "lat: row 1"),
    "swapped columns": ("lat,lon\n120,2\n-150,30\n100,1\n", {}, "swapped"),
    "degrees given as radians": ("lat,lon\n50,2\n60,3\n4,1\n", {"degrees": False}, "degrees"),
    "empty": ("", {}, "is empty"),
    "only a header": ("lat,lon\n", {}, "no rows of data"),
    "only comments": ("# a\n# b\n", {}, "no rows of data"),
    "one row": ("lat,lon\n1,2\n", {}, "1 rows cannot be split"),
    "ragged": ("lat,lon\n1,2\n3,4,5\n6,7\n", {}, "different lengths"),
    "twice the same name": ("lat,lat\n1,2\n3,4\n", {"manifold": "S^2"}, "'lat'"),
    "unknown manifold": ("lat,lon\n1,2\n3,4\n5,6\n", {"manifold": "Q^2"}, "Q"),
}


@pytest.mark.parametrize("case", BAD_TABLES)
@pytest.mark.fault(15, "NaN, inf and text in a table")
@pytest.mark.fault(19, "latitudes beyond 90° and exchanged columns")
def test_bad_tables_are_named_in_one_line(case, tmp_path):
    text, options, message = BAD_TABLES[case]
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path / "t.csv", **options)
    assert "\n" not in str(caught.value)


@pytest.mark.fault(24, "files of other kinds, other encodings, complex numbers")
def test_missing_and_strange_paths(tmp_path):
    with pytest.raises(DataError, match="No file"):
        load(tmp_path / "absent.csv")
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"not read. Choices: .csv"):
        load(tmp_path / "image.png")
    (tmp_path / "wide.csv").write_bytes(b"lat,lon\n1,2\n\xff\xfe")
    with pytest.raises(DataError, match="not UTF-8 text"):
        load(tmp_path / "wide.csv")
    np.save(tmp_path / "complex.npy", np.ones(3, complex))
    with pytest.raises(DataError, match="complex128"):
        load(tmp_path / "complex.npy", manifold="R^1")


# -- registered files --------------------------------------------------------------------


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True


@pytest.fixture
def server():
    """A local source of files: /good, /wrong (other bytes), /cut (half, then the line drops)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            content = GOOD if self.path != "/wrong" else GOOD.replace(b"1", b"9")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if self.path == "/cut" else content)

        def log_message(self, *args):
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("SCOREFOLD_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry(url):
    flood = REGISTRY["flood"]
    source = dataclasses.replace(
        flood.sources[0], path="earth/f.csv", sha256=hashlib.sha256(GOOD).hexdigest(), url=url
    )
    return dataclasses.replace(flood, sources=(source,))


def files(folder):
    return [p for p in folder.rglob("*") if p.is_file()]


@pytest.mark.parametrize("path", ["wrong", "cut"])
@pytest.mark.fault(12, "a source that sends other bytes, or half of them")
def test_a_bad_download_leaves_the_cache_untouched(path, server, cache):
    bad = entry(f"{server}/{path}")
    with pytest.raises(DataError) as caught:
        locate(bad)
    message = str(caught.value)
    assert f"{server}/{path}" in message and bad.sources[0].sha256 in message
    assert "data_dir" in message and "earth/f.csv" in message
    assert files(cache) == []
    found, _ = locate(entry(f"{server}/good"))
    assert found.read_bytes() == GOOD and files(cache) == [found]


def test_offline_says_what_to_do(cache):
    with pytest.raises(DataError, match=r"Connect to the network, or put the file \(sha256 "):
        locate(entry("http://127.0.0.1:9/nothing"))
    assert files(cache) == []


def test_a_downloaded_file_serves_without_network(server, cache):
    first, _ = locate(entry(f"{server}/good"))
    second, _ = locate(entry("http://127.0.0.1:9/nothing"))
    assert first == second


@pytest.mark.fault(13, "eight downloads in four threads")
def test_two_at_once_both_succeed(server, cache):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: locate(entry(f"{server}/good"))[0], range(8)))
    assert {p.read_bytes() for p in found} == {GOOD} and len(files(cache)) == 1


@pytest.mark.fault(40, "a cache below a plain file")
def test_an_unwritable_home_falls_back_with_a_note(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "temporary").mkdir()
    monkeypatch.delenv("SCOREFOLD_DATA_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    with pytest.warns(UserWarning, match="cannot be written"):
        found, _ = locate(entry(f"{server}/good"))
    assert found.read_bytes() == GOOD and tmp_path / "temporary" in found.parents


@pytest.mark.fault(12, "a file with the name of a registered one and other bytes")
def test_a_changed_file_in_the_data_folder_names_both_hashes(tmp_path, monkeypatch):
    (tmp_path / "flood.csv").write_bytes(GOOD)
    monkeypatch.setenv("SCOREFOLD_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError) as caught:
        load("flood")
    for digest in (REGISTRY["flood"].sources[0].sha256, hashlib.sha256(GOOD).hexdigest()):
        assert digest in str(caught.value)
    with pytest.raises(DataError, match="does not exist"):
        load("flood", data_dir=os.fspath(tmp_path / "absent"))
