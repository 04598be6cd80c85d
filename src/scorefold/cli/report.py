"""``scorefold report``: the page of a finished run, drawn again."""

import argparse

from scorefold.cli.options import add_earth_option, stated
from scorefold.cli.parser import Parser
from scorefold.runs import draw_again


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", help="the folder of a run, or of several seeds")
    parser.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    add_earth_option(parser)
    parser.set_defaults(command=_report)


def _report(arguments: argparse.Namespace) -> int:
    for page in draw_again(**stated(arguments, draw_again)):
        print(page)
    return 0
