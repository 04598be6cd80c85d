"""``scorefold carry``: points moved by a fitted bridge, in the units of its data."""

import argparse

from scorefold.cli.options import add_drop_options, real, seed, stated, whole
from scorefold.cli.parser import Parser
from scorefold.runs import carry
from scorefold.runs.tables import ENDINGS

_time = real(-1e30, 1e30)


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", help="the folder of a bridge")
    parser.add_argument("points", metavar="POINTS", help="a table with the columns of the bridge's")
    parser.add_argument("--out", metavar="FILE", required=True, help=", ".join(ENDINGS))
    parser.add_argument("--backward", action="store_true",
                        help="POINTS are of the end; move them back")  # fmt: skip
    parser.add_argument("--from", dest="start", type=_time, metavar="T",
                        help="the time of POINTS, that of a snapshot (default: the first; with "
                        "--backward the last)")  # fmt: skip
    parser.add_argument("--at", type=_time, metavar="T",
                        help="where to (default: the last time; with --backward the "
                        "first)")  # fmt: skip
    parser.add_argument("--paths", type=whole(1, 10**5), metavar="N",
                        help="write the whole way, N steps of equal time, with columns point and "
                        "t")  # fmt: skip
    parser.add_argument(
        "--columns", help="coordinate columns of a file (default: those of the run)"
    )
    add_drop_options(parser)
    parser.add_argument("--seed", type=seed, default=0, help="of the noise (default: 0)")
    parser.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    parser.set_defaults(command=_carry)


def _carry(arguments: argparse.Namespace) -> int:
    print(carry(**stated(arguments, carry)))
    return 0
