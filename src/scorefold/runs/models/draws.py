"""``scorefold sample``: draws of a fitted model, in the units of its data, in blocks."""

from __future__ import annotations

import argparse
import inspect
import math
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np

from scorefold import ScorefoldWarning
from scorefold._files import whole_file
from scorefold._oneline import one_line
from scorefold.cli.parser import UsageError, seed, whole
from scorefold.models import Model
from scorefold.runs import documents
from scorefold.runs.folder import Run

__all__ = ["add_commands", "check_out", "write_columns"]

_WRITERS = (".csv", ".tsv", ".parquet", ".npy")
_BLOCK = 2**16
_NUMBERS = 2**24
"""Coordinates drawn at a time, at most."""


def add_commands(commands: Any) -> None:
    sample = commands.add_parser("sample", help="draw from a fitted model")
    sample.add_argument("run", metavar="DIR", help="the folder of a run, or of several seeds")
    sample.add_argument(
        "-n", type=whole(1, 10**10), default=1000, metavar="N", help="how many (default: 1000)"
    )
    sample.add_argument("--out", metavar="FILE", required=True, help=", ".join(_WRITERS))
    sample.add_argument("--seed", type=seed, default=0, help="of the draws (default: 0)")
    score = sample.add_argument_group("score model")
    score.add_argument("--method", choices=["sde", "ode"], help="default: sde")
    score.add_argument(
        "--steps", type=whole(1, 10**6), metavar="N", help="of the SDE (default: 200)"
    )
    sample.set_defaults(command=_sample)


def _sample(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out)
    check_out(out)
    top = Run.open(arguments.run)
    runs = top.seeds or [top]
    coordinates = runs[0].coordinates()
    if changed := runs[0].changed_file():
        warnings.warn(
            f"{changed} has changed since {top.folder} was fitted: these are draws of the law that "
            "was fitted then.",
            ScorefoldWarning,
            stacklevel=2,
        )
    table = runs[0].data_file()
    if table is not None and out.exists() and os.path.samefile(out, table):
        raise UsageError(f"--out {out} is the table that {top.folder} was fitted to: choose "
                         "another name.")  # fmt: skip
    models = [run.model() for run in runs]
    options = [_sampler(arguments, model) for model in models]
    arguments.stops.note = f"stopped; {out} was not written"

    def blocks() -> Iterator[np.ndarray]:
        for k, (model, more) in enumerate(zip(models, options, strict=True)):
            n = arguments.n // len(models) + (k < arguments.n % len(models))
            key = jax.random.key(arguments.seed)
            for points in _blocks(model, key if k == 0 else jax.random.fold_in(key, k), n, more):
                with documents.describes(runs[0].folder / "run.json"):
                    yield coordinates.to_columns(points)

    write_columns(out, blocks(), coordinates.columns, arguments.n)
    units = "" if coordinates.units == "none" else f" in {coordinates.units}"
    seeds = f", equally many of each of {len(runs)} seeds" if len(runs) > 1 else ""
    named = one_line(", ".join(coordinates.columns), 200)
    print(f"{arguments.n} points ({named}{units}){seeds} written to {out}")
    return 0


def check_out(out: Path) -> None:
    """**Raises:** ``UsageError`` if a table cannot be written there."""
    if out.suffix not in _WRITERS:
        raise UsageError(f"--out {out}: the ending must be one of {', '.join(_WRITERS)}.")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}.")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder.")


def _blocks(model: Model, key: Any, n: int, options: dict[str, Any]) -> Iterator[np.ndarray]:
    """n draws, a bounded number at a time: the first block is that of ``key`` itself."""
    size = max(1, min(_BLOCK, _NUMBERS // max(1, math.prod(model.manifold.shape))))
    for k in range(-(-n // size)):
        now = key if k == 0 else jax.random.fold_in(key, k)
        # The last of several blocks is drawn whole and cut: one compiled program serves all.
        points = np.asarray(model.sample(now, min(n, size), **options))[: n - k * size]
        bad = int((~np.isfinite(points.reshape(len(points), -1))).any(axis=1).sum())
        if bad:
            raise FloatingPointError(
                f"{bad} of {len(points)} draws are not finite: nothing was written. Fit the model "
                "again, or choose another."
            )
        yield points


def _sampler(arguments: argparse.Namespace, model: Model) -> dict[str, Any]:
    """The stated options of ``model.sample``, where it has them."""
    stated = {name: getattr(arguments, name) for name in ("method", "steps")}
    stated = {name: value for name, value in stated.items() if value is not None}
    known = inspect.signature(model.sample).parameters
    for name in stated:
        if name not in known:
            raise UsageError(
                f"--{name} is an option of score models; draws of {type(model).__name__} are "
                "exact, without simulation."
            )
    if stated.get("method") == "ode" and "steps" in stated:
        raise UsageError("--steps are those of --method sde; the ODE chooses its own.")
    return stated


# -- tables ----------------------------------------------------------------------------------------
def write_columns(path: Path, blocks: Iterator[np.ndarray], names: tuple[str, ...], n: int) -> None:
    """A table of n rows of numbers that come in blocks, in the format that the ending of ``path``
    names; whole or not at all."""
    from tqdm import tqdm

    with whole_file(path) as file, tqdm(total=n, disable=n <= _BLOCK, file=sys.stderr) as bar:

        def counted() -> Iterator[np.ndarray]:
            for block in blocks:
                yield block
                bar.update(len(block))

        _FORMATS[path.suffix](file, counted(), names, n)


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
        raise UsageError("--out: writing Parquet needs pyarrow (pip install pyarrow).") from error
    schema = pa.schema([(name, pa.float64()) for name in names])
    with pq.ParquetWriter(file, schema) as writer:
        for block in blocks:
            columns = [np.ascontiguousarray(column) for column in block.T]
            writer.write_table(pa.Table.from_arrays(list(map(pa.array, columns)), schema=schema))


def _text(separator: str) -> Any:
    def write(file: BinaryIO, blocks: Iterator[np.ndarray], names: tuple[str, ...], n: int) -> None:
        import pandas as pd

        for k, block in enumerate(blocks):
            table = pd.DataFrame(block, columns=list(names))
            file.write(table.to_csv(index=False, header=k == 0, sep=separator).encode())

    return write


_FORMATS: dict[str, Any] = {
    ".csv": _text(","),
    ".tsv": _text("\t"),
    ".npy": _npy,
    ".parquet": _parquet,
}
