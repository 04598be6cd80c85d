"""One table of numbers and nasty names, written in every way: the same names, the same bits."""

import bz2
import gzip
import io
import lzma
import os
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scorefold.data import DataError, read_table
from scorefold.data.tables.readers import numbers

NASTY = "abZ09 .,;|\t\n\r\"'#()=°µ\u00a0\u0085\u2028\u2029−é漢\x1b"
WESTERN = "abZ09 .,;|\t\n\r\"'#()=°µ"
"""No two of them are a character of UTF-8 when written in Windows-1252."""


def words(alphabet=NASTY):
    """Names that are trimmed and are neither numbers nor words for a missing value."""
    inner = st.text(alphabet, max_size=6)
    return st.builds(lambda first, more: f"{first}{more}".strip(), st.sampled_from("pqX"), inner)


@st.composite
def written(draw):
    """(bytes, suffix, names, values, labels) of a text table in some dialect."""
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"]))
    alphabet = NASTY if encoding != "cp1252" else WESTERN
    delimiter = draw(st.sampled_from(",;\t| "))
    mark = draw(st.sampled_from(".," if delimiter != "," else "."))
    header = draw(st.sampled_from(["first", "comment", "none"]))
    if header == "comment":
        alphabet = alphabet.replace("\n", "").replace("\r", "")
    k, n = draw(st.integers(2, 4)), draw(st.integers(2, 5))
    names = draw(st.lists(words(alphabet), min_size=k + 1, max_size=k + 1, unique=True))
    finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
    values = np.array([[draw(finite) for _ in range(k)] for _ in range(n)])
    labels = [draw(words(alphabet)) for _ in range(n)]
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    always = draw(st.booleans())
    blanks = delimiter == " "
    between = draw(st.sampled_from([" ", "   ", " \t"])) if blanks else delimiter
    if not blanks and delimiter != "\t" and draw(st.booleans()):
        between += " "
    trailing = "" if blanks else delimiter * draw(st.integers(0, 2))

    def quoted(text, force=False):
        special = any(c in text for c in f'{delimiter}"\n\r \t') or text.startswith("#")
        return '"' + text.replace('"', '""') + '"' if special or force or always else text

    def number(value):
        return quoted(repr(float(value)).replace(".", mark), force=mark == delimiter)

    rows = [[*map(number, row), quoted(label)] for row, label in zip(values, labels, strict=True)]
    lines = [between.join(row) + trailing for row in rows]
    first = between.join(map(quoted, names)) + trailing
    comments = draw(st.lists(st.sampled_from(["# made by hand, 2020", "#", "# a; b"]), max_size=2))
    head = {"first": [first], "comment": [f"# {first}"], "none": []}[header]
    lines = [*comments, *head, *lines]
    if draw(st.booleans()):
        lines += ["", trailing]
    if not comments and header != "comment" and not blanks and draw(st.booleans()):
        lines.insert(0, f"sep={delimiter}")
    text = end.join(lines) + draw(st.sampled_from(["", end]))
    content = text.encode(encoding)
    suffix = draw(st.sampled_from([".csv", ".txt", "", ".data"]))
    how = draw(st.sampled_from([None, gzip, bz2, lzma]))
    if how:
        content = how.compress(content)
    if header == "none":
        names = [f"c{j}" for j in range(k + 1)]
    return content, suffix, names, values, labels


def same_bits(table, names, values):
    found, problems = numbers(table, tuple(names), "t")
    assert not problems
    np.testing.assert_array_equal(found.view(np.int64), values.astype(np.float64).view(np.int64))


@pytest.mark.fault(43, "names and numbers in every dialect of text, from files and pipes")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(written(), st.sampled_from(["file", "pipe", "-"]))
def test_text_in_every_dialect_is_the_same_table(tmp_path_factory, case, channel):
    content, suffix, names, values, labels = case
    try:
        table = through(content, suffix, channel, tmp_path_factory)
    except DataError as error:
        # 1,234 and nothing clearer: the only numbers that may be refused.
        assert "may be" in str(error) and "thousands" in str(error)
        return
    assert list(table.columns) == names
    assert table[names[-1]].tolist() == labels
    same_bits(table, names[:-1], values)


def through(content, suffix, channel, tmp_path_factory):
    if channel == "-":
        stdin, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(content))
        try:
            return read_table("-")
        finally:
            sys.stdin = stdin
    if channel == "pipe":
        reading, writing = os.pipe()
        os.write(writing, content)
        os.close(writing)
        try:
            return read_table(f"/dev/fd/{reading}")
        finally:
            os.close(reading)
    path = tmp_path_factory.getbasetemp() / f"law{suffix}"
    path.write_bytes(content)
    return read_table(path)


DTYPES = ["<f8", ">f8", "<f4", ">f4", "<f2", "<i4", ">i8", "|u1", "|b1"]


@pytest.mark.fault(43, "the same table as NPY, NPZ and Parquet")
@settings(max_examples=80, deadline=None, derandomize=True)
@given(
    st.sampled_from(["npy", "npz", "structured", "beside", "parquet", "lists"]),
    st.sampled_from(DTYPES),
    st.sampled_from("CF"),
    st.integers(2, 4),
    st.lists(words(NASTY.replace("|", "")), min_size=4, max_size=4, unique=True),
    st.sampled_from(["file", "pipe", "-"]),
    st.integers(0, 2**32 - 1),
)
def test_binary_formats_are_the_same_table(
    tmp_path_factory, form, dtype, order, k, names, channel, seed
):
    rng = np.random.default_rng(seed)
    values = np.asarray(rng.normal(size=(7, k)) * 100, order=order).astype(dtype)
    labels, file = np.array([f"p{i}" for i in range(7)]), io.BytesIO()
    match form:
        case "npy":
            np.save(file, values)
            columns = [f"c{j}" for j in range(k)]
        case "structured":
            columns = [f"f{j}" for j in range(k)]
            record = np.zeros(7, [(name, dtype) for name in columns])
            for j, name in enumerate(columns):
                record[name] = values[:, j]
            np.save(file, record)
        case "npz":
            columns = [f"v{j}" for j in range(k)]
            np.savez_compressed(file, **dict(zip(columns, values.T, strict=True)))
        case "beside":
            columns = [f"x{j}" for j in range(k)]
            np.savez(file, labels=labels, x=values, t=np.arange(3), seed=4, o=np.array([None]))
        case "parquet":
            columns = names[:k]
            native = values.astype(values.dtype.newbyteorder("="))
            pd.DataFrame(native, columns=columns).to_parquet(file)
        case _:
            columns = [f"v{j}" for j in range(k)]
            pd.DataFrame({"v": list(values.astype(float))}).to_parquet(file)
    table = through(file.getvalue(), "", channel, tmp_path_factory)
    points = list(table.attrs.get("points", table.columns))
    assert points == columns
    same_bits(table, columns, values)
    if form == "beside":
        assert table["labels"].tolist() == labels.tolist()
        assert table.attrs["notes"][0].startswith("left out: t, seed, o")


def test_a_stream_that_is_no_stream_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(closed=False, isatty=lambda: True))
    try:
        read_table("-")
    except DataError as error:
        assert "is a terminal" in str(error)
    else:
        raise AssertionError
