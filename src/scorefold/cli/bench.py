"""``scorefold bench``: the tables of the papers."""

import argparse
from collections.abc import Callable

from scorefold.cli.parser import few
from scorefold.runs import RunError

_TABLES = {
    "wpo": ("closed-form kernel models", "earth,rna,flat", 5),
    "bridge": ("Schrödinger bridges", "gaussian,plans,earth,cells,snapshots", 3),
}
"""What each is of, its parts by default, and how many seeds."""


def add_command(commands: argparse._SubParsersAction) -> None:
    bench = commands.add_parser("bench", help="compute a table of the papers")
    what = "; ".join(f"{name}: {row[0]}" for name, row in _TABLES.items())
    bench.add_argument("table", choices=list(_TABLES), help=what)
    bench.add_argument(
        "--parts",
        help="wpo: earth, plain, rna, flat, networks, joined; bridge: gaussian, matching, plans, "
        "earth, cells, snapshots",
    )
    bench.add_argument("--seeds", type=few, metavar="N", help="0, 1, …, N − 1")
    bench.add_argument("--out", metavar="FILE", help="JSON; a table begun there is gone on with")
    bench.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    bench.set_defaults(command=_bench)


def _bench(arguments: argparse.Namespace) -> int:
    from scorefold import bench

    _, parts, seeds = _TABLES[arguments.table]
    makers: dict[str, Callable[..., bench.ResultTable]] = {"wpo": bench.wpo, "bridge": bench.bridge}
    try:
        table = makers[arguments.table](
            arguments.out,
            parts=tuple((arguments.parts or parts).split(",")),
            seeds=arguments.seeds or seeds,
            data_dir=arguments.data_dir,
        )
    except ValueError as error:
        raise RunError(str(error)) from error
    print(table.text())
    return 0
