"""``scorefold bench``: the tables of the papers."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from scorefold.cli.executors import add_execution_options, execution
from scorefold.cli.options import few
from scorefold.cli.parser import Parser
from scorefold.runs import RunError

if TYPE_CHECKING:
    from scorefold.bench.contract import TableRequest


def add_options(bench: Parser) -> None:
    from scorefold.bench.registry import ABOUT

    what = "; ".join(f"{name}: {line}" for name, line in ABOUT.items())
    bench.add_argument("table", choices=[*ABOUT, "all"], help=f"{what}; all: one after the other")
    length = bench.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="minutes on two cores")
    length.add_argument("--full", action="store_true", help="the published length, for a GPU")
    names = "separated by semicolons, or commas where no name has one (default: all usual ones)"
    for option in ("data", "protocols", "methods"):
        bench.add_argument(f"--{option}", metavar="NAMES", help=names)
    bench.add_argument("--seeds", type=few, metavar="N", help="0, 1, …, N − 1")
    bench.add_argument(
        "--out", metavar="DIR",
        help="results.json, table.md and figures; a table begun there is gone on with (default: "
        "runs/bench-NAME, with the length behind it)",
    )  # fmt: skip
    add_execution_options(bench)
    bench.add_argument("--gpu", action="store_true", help="refuse to run without a GPU")
    bench.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    bench.set_defaults(command=_bench)


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    if Path(text).exists():
        return (text,)
    separator = ";" if ";" in text else ","
    names = tuple(name.strip() for name in text.split(separator) if name.strip())
    if not names:
        raise RunError(f"{text!r} holds no name: leave the option out for the usual ones.")
    return names


def _bench(arguments: argparse.Namespace) -> int:
    import jax

    from scorefold.bench.contract import Length, TableRequest
    from scorefold.bench.markdown import markdown
    from scorefold.bench.registry import ABOUT
    from scorefold.bench.runner import run_table

    if arguments.gpu and jax.default_backend() != "gpu":
        raise RunError(
            f"--gpu: JAX has no GPU here, only {jax.default_backend()}: leave --gpu out."
        )
    length: Length = "quick" if arguments.quick else "full" if arguments.full else "default"
    ending = "" if length == "default" else f"-{length}"
    out = Path(arguments.out or Path("runs") / f"bench-{arguments.table}{ending}")
    every = arguments.table == "all"
    request = TableRequest(
        length, _names(arguments.data), _names(arguments.protocols), _names(arguments.methods),
        arguments.seeds, arguments.data_dir,
    )  # fmt: skip
    failed = 0
    arguments.listener.stage(
        f"stopped; runs that were made are kept in {out}, the same command goes on with them"
    )
    try:
        asked = {name: _fitting(name, request) for name in ABOUT if every} or {
            arguments.table: request
        }
        if not any(asked.values()):
            raise RunError("all: no table has these names together; see scorefold bench NAME.")
        for name, of_table in asked.items():
            if of_table is None:
                continue
            folder = out / name if every else out
            results = run_table(name, folder, of_table, execution(arguments))
            failed += results.failed
            print(markdown(results.table, results.runs))
    except ValueError as error:
        raise RunError(str(error)) from error
    print(f"{out}")
    return 1 if failed else 0


def _fitting(name: str, request: "TableRequest") -> "TableRequest | None":
    """The request, if the table has all that it names."""
    from scorefold.bench.registry import find_table

    table = find_table(name)
    if not table.seeded:
        request = dataclasses.replace(request, seeds=None)
    try:
        next(table.wanted(request))
    except ValueError:
        return None
    return request
