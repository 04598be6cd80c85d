"""Tables that a run writes: points in the units of its data, whole or not at all."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from scorefold._files import whole_file
from scorefold._oneline import one_line
from scorefold.data import Coordinates
from scorefold.data.columns.coordinates import Part
from scorefold.runs.errors import RunError

_SHOWN = 2**16
"""Rows beyond which a bar is shown."""
_DIGITS = 9
"""Of degrees in GeoJSON: a tenth of a millimetre."""
Writer = Callable[[BinaryIO, Iterator[np.ndarray], tuple[str, ...], int], None]


def check_out(
    out: Path,
    tables: Sequence[str | os.PathLike],
    whose: str,
    endings: Sequence[str] | None = None,
) -> None:
    """**Raises:** ``RunError`` if a file cannot be written to ``out``, has none of the ``endings``
    (default: those of tables), or is one of ``tables``, which are ``whose``."""
    known = ENDINGS if endings is None else endings
    if out.suffix not in known:
        raise RunError(f"--out {out}: the ending must be one of {', '.join(known)}.")
    if not out.parent.is_dir():
        raise RunError(f"--out {out}: there is no folder {out.parent}.")
    if out.is_dir():
        raise RunError(f"--out {out} is a folder.")
    for table in tables:
        if out.exists() and os.path.exists(table) and os.path.samefile(out, table):
            raise RunError(f"--out {out} is {whose}: choose another name.")


def check_places(out: Path, coordinates: Coordinates) -> None:
    """**Raises:** ``RunError`` for a GeoJSON file of points that have no latitude and longitude."""
    if out.suffix == ".geojson" and _places(coordinates) is None:
        raise RunError(
            f"--out {out}: GeoJSON is of places in latitude and longitude, and the columns are "
            f"{columns_in_words(coordinates)}: choose one of {', '.join(ENDINGS[:-1])}."
        )


def _places(coordinates: Coordinates) -> Part | None:
    """The part that is read by latitude and longitude, if there is one."""
    found = [part for part in coordinates.parts if part.system == "latlon"]
    return found[0] if len(found) == 1 else None


def columns_in_words(coordinates: Coordinates) -> str:
    """The names of the columns, and their units."""
    units = "" if coordinates.units == "none" else f" in {coordinates.units}"
    return one_line(", ".join(coordinates.columns), 200) + units


def write_columns(
    path: Path,
    blocks: Iterator[np.ndarray],
    coordinates: Coordinates,
    n: int,
    before: tuple[str, ...] = (),
) -> None:
    """A table of n rows of numbers that come in blocks, in the format that the ending of ``path``
    names; whole or not at all. Columns of other names may stand ``before`` the coordinates."""
    from tqdm import tqdm

    with whole_file(path) as file, tqdm(total=n, disable=n <= _SHOWN, file=sys.stderr) as bar:

        def counted() -> Iterator[np.ndarray]:
            for block in blocks:
                yield block
                bar.update(len(block))

        write = _FORMATS.get(path.suffix, partial(_geojson, coordinates=coordinates))
        write(file, counted(), (*before, *coordinates.columns), n)


def _npy(file: BinaryIO, blocks: Iterator[np.ndarray], names: tuple[str, ...], n: int) -> None:
    descr = np.lib.format.dtype_to_descr(np.dtype(np.float64))
    header = {"descr": descr, "fortran_order": False, "shape": (n, len(names))}
    np.lib.format.write_array_header_1_0(file, header)
    for block in blocks:
        file.write(np.ascontiguousarray(block, np.float64).tobytes())


def _parquet(file: BinaryIO, blocks: Iterator[np.ndarray], names: tuple[str, ...], n: int) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise RunError("--out: writing Parquet needs pyarrow (pip install pyarrow).") from error
    schema = pa.schema([(name, pa.float64()) for name in names])
    with pq.ParquetWriter(file, schema) as writer:
        for block in blocks:
            columns = [np.ascontiguousarray(column) for column in block.T]
            writer.write_table(pa.Table.from_arrays(list(map(pa.array, columns)), schema=schema))


def _text(separator: str) -> Writer:
    def write(file: BinaryIO, blocks: Iterator[np.ndarray], names: tuple[str, ...], n: int) -> None:
        import pandas as pd

        for k, block in enumerate(blocks):
            table = pd.DataFrame(block, columns=list(names))
            file.write(table.to_csv(index=False, header=k == 0, sep=separator).encode())

    return write


def _geojson(
    file: BinaryIO,
    blocks: Iterator[np.ndarray],
    names: tuple[str, ...],
    n: int,
    coordinates: Coordinates,
) -> None:
    """A point for each row (RFC 7946: longitude, then latitude, in degrees), other columns as its
    properties."""
    part = _places(coordinates)
    assert part is not None
    first = len(names) - len(coordinates.columns)
    others = [k for k in range(len(names)) if k - first not in part.places]
    file.write(b'{"type": "FeatureCollection", "features": [')
    opened = False
    for block in blocks:
        own = part.inward(block[:, first:])
        lat, lon = (own if part.degrees else np.degrees(own)).T
        lon = (lon + 180.0) % 360.0 - 180.0
        for row, y, x in zip(block, lat.tolist(), lon.tolist(), strict=True):
            feature = {
                "type": "Feature",
                "geometry": {
                    "type": "Point", "coordinates": [round(x, _DIGITS), round(y, _DIGITS)]
                },
                "properties": {names[k]: float(row[k]) for k in others},
            }  # fmt: skip
            text = json.dumps(feature, allow_nan=False)
            file.write((",\n" if opened else "\n").encode() + text.encode())
            opened = True
    file.write(b"\n]}\n")


_FORMATS: dict[str, Writer] = {
    ".csv": _text(","), ".tsv": _text("\t"), ".parquet": _parquet, ".npy": _npy,
}  # fmt: skip
ENDINGS = (*_FORMATS, ".geojson")
