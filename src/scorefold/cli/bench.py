"""``scorefold bench``: the tables of the papers."""

from __future__ import annotations

import argparse
from typing import Any

from scorefold.cli.parser import UsageError, count

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    bench = commands.add_parser("bench", help="compute a table of the papers")
    bench.add_argument("table", choices=["wpo"], help="wpo: closed-form kernel models")
    bench.add_argument(
        "--parts", default="earth,rna,flat", help="of wpo: earth, plain, rna, flat, networks"
    )
    bench.add_argument("--seeds", type=count, default=5, metavar="N", help="0, 1, …, N − 1")
    bench.add_argument("--out", metavar="FILE", help="JSON; a table begun there is gone on with")
    bench.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    bench.set_defaults(command=_bench)


def _bench(arguments: argparse.Namespace) -> int:
    from scorefold.bench import wpo

    try:
        table = wpo(
            arguments.out,
            parts=tuple(arguments.parts.split(",")),
            seeds=arguments.seeds,
            data_dir=arguments.data_dir,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(table.text())
    return 0
