"""``scorefold report``: the page of a finished run, drawn again."""

import argparse

from scorefold.cli.parser import add_earth_option, stated
from scorefold.runs import draw_again


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("report", help="write the report of a run again")
    parser.add_argument("folder", metavar="DIR", help="the folder of a run, or of several seeds")
    parser.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    add_earth_option(parser)
    parser.set_defaults(command=_report)


def _report(arguments: argparse.Namespace) -> int:
    for page in draw_again(**stated(arguments, draw_again)):
        print(page)
    return 0
