"""Making what is missing of a table."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from scorefold._files import write_whole
from scorefold._warnings import warn
from scorefold.bench.contract import Cell, Result, Table, TableRequest
from scorefold.bench.markdown import markdown
from scorefold.bench.registry import find_table
from scorefold.bench.results import Results, source
from scorefold.bench.workers import Done, Execute, in_turn
from scorefold.data import DataError
from scorefold.fitting.lock import locked


def run_table(
    table: Table | str,
    out: Path | str | None = None,
    request: TableRequest | None = None,
    execute: Execute = in_turn,
) -> Results:
    """All runs that are asked for of a table, those of an earlier call included.

    **Arguments:** ``table``: one, or its name; ``out``: the folder of ``results.json``,
    ``table.md`` and the figures, where a table that was begun is gone on with; None keeps nothing;
    ``execute``: who makes the runs: this process, ``in_pool(workers)`` or ``on_ray(address)``.
    A run that fails says so in a warning and is left out; the others go on.
    **Raises:** ``ValueError`` for names that the table does not have, and for a folder with another
    table; ``DataError`` for a data set that ``request`` names and that cannot be used, and where
    none of the usual ones is at hand. One of these that cannot be used is said once.
    """
    found = find_table(table) if isinstance(table, str) else table
    folder = None if out is None else Path(out)
    request = dataclasses.replace(request or TableRequest(), out=folder)
    cells = list(found.wanted(request))
    with nullcontext() if folder is None else locked(folder):
        results = Results(found, request.length, folder)
        for data, file in {cell.data: cell.file for cell in cells if cell.file}.items():
            if count := results.forget(data, file):
                warn(
                    f"{data} has changed since {count} of its runs were made: they are left out, "
                    "and those that are asked for made again."
                )
        gone = results.forget_others(cells)
        for method, data in dict.fromkeys((run.method, run.data) for run in gone):
            warn(
                f"{method} on {data}: options have changed since "
                f"{sum((r.method, r.data) == (method, data) for r in gone)} of its runs were "
                "made: they are made again."
            )
        gone_on_with = bool(results.runs)
        with _drawable(results):
            markdown(found, results.runs)
        refused: dict[tuple[str, str], str] = {}

        def wanted(cell: Cell) -> bool:
            return (cell.data, cell.protocol) not in refused

        todo = [cell for cell in cells if cell.name not in results]
        for done in execute(todo, wanted):
            for line in done.said:
                warn(line)
            if done.kind != "data":
                keep(done, results)
                continue
            cell = done.cell
            if cell.data in (request.data or ()):
                raise DataError(done.error)
            if done.error not in refused.values():
                warn(f"{cell.data} is left out: {done.error}")
            if wanted(cell):
                results.failed += 1
            refused[cell.data, cell.protocol] = done.error
        if refused and not results.runs:
            raise DataError(next(iter(refused.values())))
        if folder is not None and results.runs:
            with _drawable(results) if gone_on_with else nullcontext():
                write_table(found, results, folder)
    return results


@contextmanager
def _drawable(results: Results) -> Iterator[None]:
    """``ValueError`` where runs that were read hold what no table can be written of."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ValueError(
            f"{results.folder}: no table can be written of its results.json "
            f"({type(error).__name__}: {error}). Choose another --out."
        ) from error


def keep(done: Done, results: Results) -> None:
    """Keep and print what was found of a cell, or say why there is nothing."""
    cell, measured = done.cell, done.measured
    if measured is None:
        what = f"{cell.method} on {cell.data}, {cell.protocol}, seed {cell.seed}"
        warn(f"{what} failed and is left out: {done.error}")
        results.failed += 1
        return
    told = {"file": cell.file, "options": cell.options}
    told = {name: value for name, value in told.items() if value is not None}
    measured = dataclasses.replace(measured, more={**measured.more, **told})
    run = results.add(cell.name, measured, source(done.load))
    print(_line(results.table, run, done.seconds), flush=True)
    if results.folder is not None:
        write_whole(results.folder / "table.md", markdown(results.table, results.runs))


def write_table(table: Table, results: Results, folder: Path) -> list[Path]:
    """``table.md`` and the figures of the runs that are there; the files of the figures."""
    from scorefold.bench.chart import charts
    from scorefold.report import to_png

    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "table.md", markdown(table, results.runs))
    paths = []
    figures = charts(table, results.runs), table.figures(results.runs, folder)
    for name, figure in itertools.chain(*figures):
        paths.append(folder / f"{name}.png")
        write_whole(paths[-1], to_png(figure))
    return paths


def _line(table: Table, run: Result, seconds: float) -> str:
    found = (
        f"{table.measures[name].heading} {value:.4g}"
        for name, value in run.values.items()
        if value is not None and name in table.measures
    )
    name = f"{run.data:<18} {run.protocol:<12} {run.method:<18} seed {run.seed}"
    return f"{name}  {', '.join(found)}  {seconds:.1f} s"
