"""What a file holds, by its first bytes where they say so and by its name otherwise."""

import bz2
import gzip
import io
import lzma
import re
import zlib

from scorefold.data._errors import DataError

_TEXT = (".csv", ".tsv", ".txt", ".dat", ".ang")
_PACKED = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz"}
_BINARIES = {".parquet": "a Parquet file", ".npy": "an NPY array", ".npz": "an NPZ archive"}
_SUFFIXES = (*_TEXT, *_BINARIES, ".geojson")
_RATIO = 100
_FLOOR = 2**26
_MEMORY = 2**27

_READ = ((b"\x93NUMPY", "npy"), (b"PAR1", "parquet"))
_WORKBOOK = ("a workbook", "save the sheet as CSV")
_HDF = ("HDF5 (.h5, .h5ad, newer .mat)", "export the table as CSV or Parquet")
_MATLAB = ("a MATLAB file", "export the matrix as CSV (writematrix)")
_JSON = ("JSON", "export CSV (pandas.json_normalize(…).to_csv)")
_REFUSED_CONTENT = {
    b"\x89HDF": _HDF,
    b"MATLAB 5.0 MAT-file": _MATLAB,
    b"\xd0\xcf\x11\xe0": _WORKBOOK,
    b"ARROW1": ("an Arrow file", "write Parquet (pyarrow.parquet.write_table)"),
    b"FEA1": ("a Feather file", "write Parquet (pandas.DataFrame.to_parquet)"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"SIMPLE  =": ("a FITS file", "export the table as CSV"),
    **dict.fromkeys((b"CDF\1", b"CDF\2"), ("a NetCDF file", "export the table as CSV")),
    **dict.fromkeys((b"RDX2\n", b"RDX3\n"), ("R data", "write.csv(x, row.names = FALSE)")),
    b"\x28\xb5\x2f\xfd": ("zstd", "unpack it first (unzstd)"),
    **dict.fromkeys((b"\x89PNG", b"\xff\xd8\xff", b"GIF89a", b"II*\0"), ("a picture", "")),
    b"version https://git-lfs": ("a pointer of Git LFS", "git lfs pull fetches the file"),
    b"%PDF-": ("a PDF", "export the table as CSV"),
}
_REFUSED_NAMES = {
    **dict.fromkeys((".json", ".jsonl"), _JSON),
    **dict.fromkeys((".xlsx", ".xls", ".ods"), _WORKBOOK),
    **dict.fromkeys((".h5", ".hdf5", ".h5ad"), _HDF),
    ".mat": _MATLAB,
}
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")
_BINARY = re.compile(rb"[\x00-\x08\x0e-\x1a\x80-\xff]")
_JSON_BEGINS = re.compile(rb'\s*[\[{]\s*["{\[]')
_MARKUP_BEGINS = re.compile(rb"\s*<(\?xml|!doctype|html|svg|votable)", re.IGNORECASE)


def unpacked(content: bytes, name: str, max_bytes: int) -> tuple[bytes, str]:
    """The bytes in a gzip, bzip2 or xz stream, recognised by content, and the name without the
    ending of such a stream; others come back as they are. At most ``max_bytes``, and at most a
    hundred times what there was (but 64 MiB in any case), are unpacked."""
    bare = name
    for suffix in _PACKED:
        bare = bare.removesuffix(suffix)
    how = _packing(content)
    if how is None:
        return content, bare
    limit = min(max_bytes, max(_FLOOR, _RATIO * len(content)))
    try:
        more = _unpack(content, how, limit + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError) as error:
        raise DataError(f"{name}: damaged {how} file ({error}).") from error
    if len(more) > limit:
        raise DataError(f"{name}: expands to more than {limit} bytes from {len(content)}: refused.")
    if not more:
        raise DataError(f"{name} is empty.")
    if _packing(more):
        raise DataError(f"{name}: compressed twice. Unpack it first.")
    return more, bare


def kind_of(content: bytes, name: str) -> str:
    """``npy``, ``npz``, ``parquet``, ``geojson`` or ``text``. **Raises:** ``DataError`` for all
    else, with what to export instead."""
    lower = name.lower()
    suffix = "." + lower.rpartition(".")[2] if "." in lower else ""
    for magic, kind in _READ:
        if content.startswith(magic):
            return kind
    if content.startswith(b"PK") and content[2:4] in (b"\3\4", b"\5\6"):
        return _archive(content, name, suffix)
    pickled = suffix not in _SUFFIXES and re.match(rb"\x80[\2-\5]", content)
    if suffix in _PICKLES or pickled:
        raise _not_read(name)
    for magic, refused in _REFUSED_CONTENT.items():
        if content.startswith(magic):
            raise _not_read(name, *refused)
    looks = _JSON_BEGINS.match(content[:1000])
    if suffix == ".geojson" or (looks and b'"FeatureCollection"' in content[:4096]):
        return "geojson"
    if suffix in _REFUSED_NAMES:
        raise _not_read(name, *_REFUSED_NAMES[suffix])
    if suffix in _BINARIES and _BINARY.search(content[:4096]):
        raise DataError(f"{name} is not {_BINARIES[suffix]}: it begins with {content[:8]!r}.")
    if looks:
        raise _not_read(name, *_JSON)
    if _MARKUP_BEGINS.match(content[:1000]):
        raise _not_read(name, "XML or HTML", "a page in the place of the file? Export CSV")
    return "text"


def _archive(content: bytes, name: str, suffix: str) -> str:
    if b"[Content_Types].xml" in content[:4096] or suffix in (".xlsx", ".xlsm"):
        raise _not_read(name, *_WORKBOOK)
    if b".npy" in content[:4096] or b".npy" in content[-(2**16) :] or suffix == ".npz":
        return "npz"
    raise _not_read(name, "a ZIP archive", "unpack it first")


def _not_read(name: str, what: str = "", instead: str = "") -> DataError:
    if instead:
        return DataError(f"{name}: {what} is not read: {instead}.")
    pickles = "" if what else " Pickles (.pkl, .pt) are never loaded: they can run code."
    kind = f"this kind of file ({what})" if what else "this kind of file"
    choices = f"{', '.join(_SUFFIXES)}, each also as {', '.join(_PACKED)}"
    return DataError(f"{name}: {kind} is not read. Choices: {choices}.{pickles}")


def _packing(content: bytes) -> str | None:
    if content.startswith(b"\x1f\x8b"):
        return "gzip"
    if content.startswith(b"BZh") and content[4:10] == b"1AY&SY":
        return "bzip2"
    return "xz" if content.startswith(b"\xfd7zXZ\0") else None


def _unpack(content: bytes, how: str, most: int) -> bytes:
    if how != "xz":
        with (gzip if how == "gzip" else bz2).open(io.BytesIO(content)) as file:
            return file.read(most)
    machine = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)
    more = machine.decompress(content, max_length=most)
    if len(more) < most and not machine.eof:
        raise EOFError("it ends too early")
    return more
