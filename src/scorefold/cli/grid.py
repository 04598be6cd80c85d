"""``scorefold grid FILE``: a table of one's own, data sets × protocols × methods × seeds."""

import argparse
from pathlib import Path

from scorefold.cli.executors import add_execution_options, execution
from scorefold.cli.parser import Parser
from scorefold.runs import RunError


def add_options(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a TOML file: data, methods, … (docs/cli.md)")
    parser.add_argument(
        "--out", metavar="DIR",
        help="results.json, table.md and figures; a grid begun there is gone on with (default: "
        "runs/grid-NAME)",
    )  # fmt: skip
    add_execution_options(parser)
    parser.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    parser.set_defaults(command=_grid)


def _grid(arguments: argparse.Namespace) -> int:
    from scorefold.bench.contract import TableRequest
    from scorefold.bench.grid import grid_table
    from scorefold.bench.markdown import markdown
    from scorefold.bench.runner import run_table

    out = Path(arguments.out or Path("runs") / f"grid-{Path(arguments.file).stem}")
    arguments.listener.stage(
        f"stopped; runs that were made are kept in {out}, the same command goes on with them"
    )
    try:
        table = grid_table(arguments.file)
        request = TableRequest(data_dir=arguments.data_dir)
        results = run_table(table, out, request, execution(arguments))
    except ValueError as error:
        raise RunError(str(error)) from error
    print(markdown(results.table, results.runs))
    print(f"{out}")
    return 1 if results.failed else 0
