"""Damaged tables of every format: read, or refused in one line, never anything else.

    python tests/slow/fuzz_tables.py [SECONDS] [SEED]

tries tables for that long (default 600). ``attempt`` tries one.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from scorefold.data import DataError, read_table

MAX_BYTES = 2**24
SECONDS = 2.0
"""Of one processor: longer than any refusal takes."""


def attempt(content: bytes, suffix: str, folder: str | os.PathLike | None = None) -> str:
    """``read``, or the message of the refusal.

    **Raises:** ``AssertionError`` for a message of several lines, over 500 characters, or with
    control characters, and for an attempt that takes too long; and whatever ``read_table`` raises
    beside ``DataError``.
    """
    path = Path(folder or tempfile.gettempdir()) / f"fuzz-{os.getpid()}{suffix}"
    path.write_bytes(content)
    start = time.thread_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = read_table(path, max_bytes=MAX_BYTES)
        assert len(table) > 0 and table.columns.is_unique
        assert all(isinstance(name, str) for name in table.columns)
        return "read"
    except DataError as error:
        message = str(error)
        assert message.isprintable() and len(message) <= 500, message
        return message
    finally:
        path.unlink()
        spent = time.thread_time() - start
        assert spent < SECONDS, f"{spent:.1f} s"


def tables() -> list[tuple[bytes, str]]:
    """Good tables of every format, small enough to be damaged in every place."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 3))
    frame = pd.DataFrame(x, columns=["lat", "lon, deg", 'm "x"'])
    frame["name"] = [f"p {i}" for i in range(40)]
    texts = [
        frame.to_csv(index=False),
        frame.to_csv(index=False, sep=";", decimal=","),
        frame.to_csv(index=False, sep="\t", quoting=2),
        "# lat lon\n" + "\n".join(" ".join(map(str, row)) for row in x) + "\n",
        "sep=;\n" + frame.to_csv(index=False, sep=";"),
        "\n".join(f"{i}" for i in range(40)),
    ]
    found = [(text.encode(), ".csv") for text in texts]
    found += [(texts[0].encode("utf-16"), ".csv"), (("Lat (°)," + texts[1]).encode("cp1252"), "")]

    def bytes_of(write, *args, **options) -> bytes:
        file = io.BytesIO()
        write(file, *args, **options)
        return file.getvalue()

    labels = np.array([f"p{i}" for i in range(40)])
    record = np.array([(1, 2.5, "a")] * 9, [("i", "i4"), ("x", ">f8"), ("s", "U3")])
    npy = bytes_of(np.save, x)
    found += [
        (npy, ".npy"),
        (bytes_of(np.save, np.asfortranarray(x.astype(">f4"))), ".npy"),
        (bytes_of(np.save, record), ".npy"),
        (bytes_of(np.savez, x=x, labels=labels, t=np.arange(5)), ".npz"),
        (bytes_of(np.savez_compressed, x=x, labels=labels, t=np.arange(5)), ".npz"),
    ]
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("x.npy", npy)
        found.append((file.getvalue(), ".npz"))
    frame["v"] = [list(row) for row in x]
    frame["c"] = pd.Categorical(["a", "b"] * 20)
    for compression in ("snappy", "zstd", "gzip", None):
        found.append((bytes_of(frame.to_parquet, compression=compression), ".parquet"))
    found += [(how.compress(texts[0].encode()), ".csv.gz") for how in (gzip, bz2, lzma)]
    found.append((gzip.compress(npy), ".npy.gz"))
    return found


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """``content`` with bytes flipped, replaced, cut off, repeated, inserted or taken out."""
    raw = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        if not raw:
            break
        at, n = int(rng.integers(len(raw))), int(rng.integers(1, 9))
        match int(rng.integers(8)):
            case 0:
                raw[at] ^= 1 << int(rng.integers(8))
            case 1:
                raw[at : at + n] = rng.bytes(n)
            case 2:
                del raw[at:]
            case 3:
                del raw[at : at + n]
            case 4:
                raw[at:at] = raw[at : at + 40 * n]
            case 5:
                raw[at : at + n] = b"\xff" * n
            case 6:
                raw[at : at + n] = b"\0" * n
            case _:
                words = b',;\t|"\n\r #-.eE0919\x1b\x85\xc2\xe2\x80\xa8'
                i = int(rng.integers(len(words)))
                raw[at:at] = words[i : i + 1] * n
    return bytes(raw)


def fuzz(seconds: float, seed: int, cases: int | None = None) -> Counter:
    """What became of damaged tables, until the time or the number of cases is used up."""
    rng, good, counts = np.random.default_rng(seed), tables(), Counter()
    end = time.monotonic() + seconds
    while time.monotonic() < end and (cases is None or sum(counts.values()) < cases):
        content, suffix = good[int(rng.integers(len(good)))]
        if rng.integers(20) == 0:
            suffix = good[int(rng.integers(len(good)))][1]
        raw = damaged(content, rng)
        try:
            outcome = attempt(raw, suffix)
        except BaseException:
            kept = Path(tempfile.gettempdir()) / f"fuzz-failed-{os.getpid()}{suffix}"
            kept.write_bytes(raw)
            print(f"kept as {kept}", file=sys.stderr)
            raise
        counts[(suffix, "read" if outcome == "read" else "refused")] += 1
    return counts


if __name__ == "__main__":
    stated = [float(word) for word in sys.argv[1:]]
    found = fuzz(stated[0] if stated else 600.0, int(stated[1]) if len(stated) > 1 else 0)
    for (kind, outcome), n in sorted(found.items()):
        print(f"{kind or 'none':10} {outcome:8} {n}")
