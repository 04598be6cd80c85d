"""Hostile tables: refused at once, in one printable line."""

import io
import os
import re
import resource
import sys
import threading
import time
import zipfile

import numpy as np
import pandas as pd
import pytest
from slow import fuzz_tables

from scorefold.cli import main
from scorefold.data import DataError, load, read_table

GOOD = b"lat,lon\n1,2\n3,4\n5,6\n7,8\n"


def refused(path, match, **options):
    start = time.thread_time()
    with pytest.raises(DataError, match=match) as caught:
        read_table(path, **options)
    assert str(caught.value).isprintable() and len(str(caught.value)) <= 500
    assert time.thread_time() - start < 1.0


def test_damaged_tables_of_every_format_are_read_or_refused():
    counts = fuzz_tables.fuzz(seconds=60.0, seed=0, cases=300)
    assert sum(counts.values()) == 300 and any(kind == "read" for _, kind in counts)


@pytest.mark.fault(55, "the limit of bytes, Parquet")
def test_parquet_is_bounded_before_it_is_read(tmp_path):
    path = tmp_path / "t.parquet"
    pd.DataFrame({"z": np.zeros(10**6)}).to_parquet(path)
    assert path.stat().st_size < 10**4
    refused(path, "1000000 rows of 1 columns expand to 8000000 bytes", max_bytes=10**6)
    pd.DataFrame({"z": ["a" * 10**5] * 1000}).to_parquet(path)
    refused(path, "expands to more than 10000000 bytes", max_bytes=10**7)


def test_a_million_columns(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(",".join(f"c{i}" for i in range(10**6)) + "\n" + "1," * (10**6 - 1) + "1\n")
    with pytest.raises(DataError, match="1000000 columns: more than 32768"):
        read_table(path)
    np.save(tmp_path / "t.npy", np.zeros((2, 10**6), np.int8))
    refused(tmp_path / "t.npy", "1000000 columns")


def test_names_are_shown_escaped(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\x1b[31mred\u202e,bell\n1,2\nx,4\n5,6\n7,8\n")
    with pytest.raises(DataError, match=r"\\x1b\[31mred\\u202e") as caught:
        load(path, manifold="R^2")
    assert str(caught.value).isprintable()
    with pytest.raises(DataError) as caught:
        raise DataError("x" * 10**7 + "\r\n\t" + "what to do")
    assert len(str(caught.value)) <= 500 and str(caught.value).endswith("what to do")


def test_members_by_other_methods_and_encrypted_ones(tmp_path):
    npy = io.BytesIO()
    np.save(npy, np.zeros((3, 2)))
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(tmp_path / "t.npz", "w", method) as archive:
            archive.writestr("x.npy", npy.getvalue())
        refused(tmp_path / "t.npz", "not written by NumPy")
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("x.npy", npy.getvalue())
        archive.filelist[0].flag_bits |= 1
    refused(tmp_path / "t.npz", "damaged archive")


HEADERS = {
    "nested": "(" * 5000,
    "shape of text": "{'descr': '<f8', 'fortran_order': False, 'shape': ('3',)}",
    "shape of large numbers": f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**4000},)}}",
    "negative": "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
    "no size": "{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,)}",
    "subarray": "{'descr': ('<f8', (10, 10)), 'fortran_order': False, 'shape': (3,)}",
    "dtype": "{'descr': [('a', 7)], 'fortran_order': False, 'shape': (3,)}",
    "call": "__import__('os').system('true')",
}


@pytest.mark.parametrize("case", HEADERS)
def test_forged_headers(case, tmp_path):
    text = HEADERS[case].encode()
    path = tmp_path / "t.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + bytes(24))
    refused(path, "t.npy")


# -- pipes and devices ---------------------------------------------------------------------------
def test_devices_and_pipes_without_writers_do_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    start = time.monotonic()
    with pytest.raises(DataError, match="nobody writes to"):
        read_table(tmp_path / "pipe")
    assert time.monotonic() - start < 5
    for device in ("/dev/zero", "/dev/null", "/dev/urandom"):
        refused(device, "is a device")


def test_an_endless_pipe_is_bounded(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    def write():
        try:
            with open(tmp_path / "pipe", "wb") as file:
                while True:
                    file.write(b"1,2\n" * 10**4)
        except BrokenPipeError:
            pass

    writer = threading.Thread(target=write)
    writer.start()
    refused(tmp_path / "pipe", "larger than the limit of 1000000 bytes", max_bytes=10**6)
    writer.join()


def test_a_pipe_is_read_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(GOOD,))
    writer.start()
    data = load(tmp_path / "pipe")
    writer.join()
    assert data.manifold.name == "S^2" and len(data.values) == 4
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(DataError, match=r"can be read once|nobody writes"):
        read_table(f"/dev/fd/{reading}")
    os.close(reading)


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_standard_input(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(GOOD)))
    assert main(["audit", name]) == 0
    assert re.search(r"rows +4\n", capsys.readouterr().out)
    with pytest.raises(DataError, match="can be read once"):
        read_table(name)
    with open("/dev/zero") as endless:
        monkeypatch.setattr(sys, "stdin", endless)
        refused(name, "is a device")
    monkeypatch.setattr(sys, "stdin", None)
    refused(name, "is closed")


@pytest.mark.fault(55, "the limit of bytes, every format")
def test_memory_is_that_of_the_limit(tmp_path):
    """A gigabyte of text in a megabyte of gzip is refused without holding it."""
    import gzip

    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(300):
            file.write(b"1,2\n" * 2**18)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="expands to more than"):
        read_table(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000
