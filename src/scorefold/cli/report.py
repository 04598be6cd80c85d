"""``scorefold report``: the page of a finished run, drawn again; or one page on several runs."""

import argparse

from scorefold.cli.options import add_earth_option, stated
from scorefold.cli.parser import Parser
from scorefold.runs import RunError, compare, draw_again


def add_options(parser: Parser) -> None:
    parser.add_argument(
        "folders", metavar="DIR", nargs="+", help="the folder of a run, or of several seeds; of "
        "two or more one page compares them"
    )  # fmt: skip
    parser.add_argument(
        "--out", metavar="FILE",
        help="the page that compares several runs, .html (default: comparison.html)",
    )  # fmt: skip
    parser.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    add_earth_option(parser)
    parser.set_defaults(command=_report)


def _report(arguments: argparse.Namespace) -> int:
    if len(arguments.folders) > 1:
        print(compare(**{k: v for k, v in stated(arguments, compare).items() if v is not None}))
        return 0
    if arguments.out is not None:
        raise RunError("--out: an option of two or more runs; the page of one is in its folder.")
    for page in draw_again(*arguments.folders, **stated(arguments, draw_again)):
        print(page)
    return 0
