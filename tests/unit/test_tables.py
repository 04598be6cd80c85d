"""What is read from one small table of each kind, and the one line where it is not."""

import gzip
import io
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from scorefold.data import DataError, load, read_table
from scorefold.data.tables.readers import numbers


def table_of(path, content, suffix=".csv", **options):
    path = path / f"t{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, **options)


A, B = [3.5, 4.25], [1.0, 2.5]

READ = {
    "delimiters in names": ('"place, country",lat,lon\n"Paris, France",3.5,1\nx,4.25,2.5\n',
                            ["place, country", "lat", "lon"]),
    "line breaks in names": ('"p\nq";"lat\u2028";lon\nz;3.5;1\nz;4.25;2.5\n',
                             ["p\nq", "lat", "lon"]),
    "decimal commas beside dates": ("date;lat;lon\n01.02.2024;3,5;1\n02.02.2024;4,25;2,5\n",
                                    ["date", "lat", "lon"]),
    "decimal commas, tabs": ("a\tlat\tlon\nx\t3,5\t1\nx\t4,25\t2,5\n", ["a", "lat", "lon"]),
    "decimal commas, bars": ("a|lat|lon\nx|3,5|1\nx|4,25|2,5\n", ["a", "lat", "lon"]),
    "decimal commas, blanks": ("01.02.2024 3,5 1\n02.02.2024 4,25 2,5\n", ["c0", "c1", "c2"]),
    "decimal commas, quoted": ('a,lat,lon\nx,"3,5",1\nx,"4,25","2,5"\n', ["a", "lat", "lon"]),
    "sep": ("sep=;\r\na;lat;lon\r\nx;3.5;1\r\nx;4.25;2.5\r\n", ["a", "lat", "lon"]),
    "trailing empty columns": ("a,lat,lon,,\nx,3.5,1,,\nx,4.25,2.5,,\n,,,,\n", ["a", "lat", "lon"]),
    "trailing delimiters": ("a,lat,lon\nx,3.5,1,\nx,4.25,2.5,\n", ["a", "lat", "lon"]),
    "commented names": ("# made by hand\n# a lat lon\nx 3.5 1\nx 4.25 2.5\n", ["a", "lat", "lon"]),
    "commented names, commas": ("#a,lat,lon\nx,3.5,1\nx,4.25,2.5\n", ["a", "lat", "lon"]),
    "Windows": ("a,lat (°),lon (°)\nx,3.5,1\nx,4.25,2.5\n".encode("cp1252"),
                ["a", "lat (°)", "lon (°)"]),
    "spreadsheet": ("a\tlat (°)\tlon\nx\t3.5\t1\nx\t4.25\t2.5\n".encode("utf-16"),
                    ["a", "lat (°)", "lon"]),
    "a number among the names": ("a,b,2019\n7,3.5,1\n8,4.25,2.5\n", ["a", "b", "2019"]),
    "quoted numbers as names": ('"7","1990","2000"\nx,3.5,1\nx,4.25,2.5\n', ["7", "1990", "2000"]),
    "names of pandas": (",0,1\n0,3.5,1.0\n1,4.25,2.5\n", ["c0", "0", "1"]),
    "spellings": ("a,b,c\nx,+35e-1,1.\ny,4.25D0,2.5\n", ["a", "b", "c"]),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_a_table_is_read(case, tmp_path):
    content, names = READ[case]
    table = table_of(tmp_path, content)
    assert list(table.columns) == names
    np.testing.assert_array_equal(table.iloc[:, 1:].to_numpy(float), np.transpose([A, B]))


REFUSED = {
    "units": ("lat,lon\ndeg,deg\n1,2\n3,4\n", r"line 2 \(deg, deg\) holds words"),
    "ragged": ("# c\nlat,lon\n1,2\n3,4,5\n", r"different lengths: row 1 \(line 4\) has 3 fields"),
    "short": ("lat,lon\n1,2\n3\n6,7\n", r"row 1 \(line 3\) has 1 fields, the header 2"),
    "row names of R": ('"a" "b"\n"1" 2.5 3\n"2" 4.5 5\n', "row.names = FALSE"),
    "open quote": ('a,b\n1,2\n"3,4\n', "the quote in line 3 is never closed"),
    "doubtful commas": ('a,b\n"3,512",1\n"1,255",2\n', "3,512 may be 3.512 or 3512"),
    "doubtful, semicolons": ("a;b\n1,137;11\n949;12\n", "1,137 may be 1.137 or 1137"),
    "twice the same name": ("a, a\n1,2\n", "more than one column is called 'a'"),
    "UTF-16 without mark": ("lat;lon;depth\n1;2;3\n".encode("utf-16-le"), "looks like UTF-16"),
    "damaged UTF-8": ("é,b\n1,2\n".encode() + b"\xe9,3\n", "not UTF-8 text"),
    "JSON": ('[{"a": 1}]', "JSON is not read: export CSV"),
    "HTML": ("<!DOCTYPE html>", "XML or HTML is not read"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "export the table as CSV or Parquet"),
    "pickle without a name": (b"\x80\x04\x95", "this kind of file is not read"),
    "pointer": ("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_is_refused_in_one_line(case, tmp_path):
    content, message = REFUSED[case]
    with pytest.raises(DataError, match=message) as caught:
        table_of(tmp_path, content, "" if case == "pickle without a name" else ".csv")
    assert str(caught.value).isprintable()


def test_what_cannot_be_a_number_says_why(tmp_path):
    for content, hint in (
        ('a,b\n"1,234.5",1\n"2,345.5",2\n', "without thousands separators"),
        ("a;b\n1.234,5;1\n2.345,5;2\n", "without thousands separators"),
        ("a;b\n1,25;1.5\n2,5;2.5\n", "one decimal mark"),
        ("# c\n\na;b\n1,25;1\nsouth;2,5\n", "row 1.*'south', line 5"),
        ("# c\n\na;b\n1,25;1\n3,5;1\nsouth;2\n", "row 2: .*'south', line 6"),
        ('a,b\n"1,234",1\n"3,455",1\nsouth,2\n', "rows 0, 1, 2: .*'1,234', line 2.*thousands"),
    ):
        _, problems = numbers(table_of(tmp_path, content), ("a", "b"), "t")
        assert len(problems) == 1
        with pytest.raises(DataError, match=hint):
            raise DataError(problems[0])


def test_digits_and_text_are_kept(tmp_path):
    rng = np.random.default_rng(0)
    exact = np.ldexp(rng.uniform(0.5, 1, 300), rng.integers(-1000, 1000, 300))
    text = "x\n" + "\n".join(f"{value:.25e}" for value in exact)
    np.testing.assert_array_equal(table_of(tmp_path, text)["x"], exact)
    table = table_of(tmp_path, "id,n,gap\n007,9007199254740993,12345678901234567\n7,1,\n")
    assert table["id"].tolist() == ["007", "7"] and table["n"].tolist() == [2**53 + 1, 1]
    assert table["gap"].tolist() == ["12345678901234567", ""]
    assert [note.split(":")[0] for note in table.attrs["notes"]] == ["column 'n'", "column 'gap'"]
    table = table_of(tmp_path, "x,y\nNA,−1\nnull,nan\n.5,#N/A\n")
    np.testing.assert_array_equal(table.to_numpy(), [[np.nan, -1], [np.nan, np.nan], [0.5, np.nan]])


def test_guesses_are_said(tmp_path):
    for content, note in (
        ("a;b\n1,5;2\n", "decimal commas: 1,5 is 1.5"),
        ("1,5\n2,6\n", "no header"),
        ("# a b\n1 5\n", "names from a comment line: a, b"),
        ("°,b\n1,2\n".encode("latin-1"), "not UTF-8 (byte 0): read as Windows-1252"),
        ("a,b\n1,2\n#3,4\n", "left out: lines with '#'"),
        ("a,b\n1,2\n,\n", "left out: rows without entries (1)"),
        (",b\n1,2\n", "column 0 has no name: called c0"),
    ):
        assert any(line.startswith(note) for line in table_of(tmp_path, content).attrs["notes"])


# -- arrays ------------------------------------------------------------------------------------
X = np.arange(12.0).reshape(4, 3)


def archive(path, **arrays):
    np.savez(path / "t.npz", **arrays)
    return str(path / "t.npz")


def test_points_are_chosen_among_arrays(tmp_path):
    path = archive(tmp_path, x=X, who=np.array(list("abca")), t=np.arange(7), seed=np.array(3))
    table = read_table(path)
    assert table.attrs["points"] == ("x0", "x1", "x2") and table["who"].tolist() == list("abca")
    assert table.attrs["notes"] == ("left out: t, seed (4 rows: x, who)",)
    data = load(path, manifold="R^3", group="who")
    assert data.coordinates.columns == ("x0", "x1", "x2") and data.audit.groups == 3
    path = archive(tmp_path, lat=X[:, 0], lon=X[:, 1], t=np.arange(9))
    assert list(read_table(path).columns) == ["lat", "lon"]


def test_one_array_is_named_by_a_colon(tmp_path):
    path = archive(tmp_path, day0=X, day1=X[:2], cells=np.zeros((3, 10, 2)))
    with pytest.raises(DataError, match=r"different lengths.*Choose one: .*t.npz:day0"):
        read_table(path)
    assert read_table(f"{path}:day1").shape == (2, 3)
    assert read_table(f"{path}:cells:1").shape == (10, 2)
    with pytest.raises(DataError, match=r"no array 'day2'. Arrays: day0, day1, cells"):
        read_table(f"{path}:day2")
    np.save(tmp_path / "t.npy", np.zeros((3, 10, 2)))
    with pytest.raises(DataError, match=r"3 snapshots of 10 rows of 2 numbers\?.*t.npy:0"):
        read_table(tmp_path / "t.npy")
    assert read_table(f"{tmp_path}/t.npy:2").shape == (10, 2)


def test_structured_arrays_have_columns_by_name(tmp_path):
    record = np.array([(1, 2.5, "a"), (3, 4.5, "b")], [("i", "i4"), ("x", ">f8"), ("s", "U3")])
    np.save(tmp_path / "t.npy", record)
    table = read_table(tmp_path / "t.npy")
    assert table.to_dict("list") == {"i": [1, 3], "x": [2.5, 4.5], "s": ["a", "b"]}
    assert table.attrs["points"] == ("i", "x")


def test_parquet_columns(tmp_path):
    frame = pd.DataFrame({"x": [1.5, 2.0], "s": ["a", None], "v": [[1.0, 2.0], [3.0, 4.0]],
                          "b": [True, None], "z": [{"a": 1}] * 2}, index=[3, 5])  # fmt: skip
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert list(table.columns) == ["x", "s", "v0", "v1", "b"]
    assert table["v1"].tolist() == [2.0, 4.0] and table["s"].tolist() == ["a", ""]
    assert table.attrs["notes"][0].startswith("left out: z")
    frame[["z"]].to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="no columns of numbers or text"):
        read_table(tmp_path / "t.parquet")
    pd.DataFrame({"v": [[1.0], [1.0, 2.0]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match="lists of different lengths"):
        read_table(tmp_path / "t.parquet")


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match="pip install pyarrow"):
        table_of(tmp_path, b"PAR1", ".parquet")


def test_the_content_decides_where_the_name_is_wrong(tmp_path):
    npy = io.BytesIO()
    np.save(npy, X)
    for content, suffix in ((npy.getvalue(), ".csv"), (gzip.compress(npy.getvalue()), ""),
                            (b"c0 c1 c2\n" + b"0 1 2\n" * 4, ".npy")):  # fmt: skip
        assert table_of(tmp_path, content, suffix).shape == (4, 3)
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as file:
        file.writestr("t.csv", "1,2\n")
    with pytest.raises(DataError, match="a ZIP archive is not read: unpack it first"):
        read_table(tmp_path / "t.zip")
