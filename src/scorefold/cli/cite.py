"""``scorefold cite``: BibTeX of what runs are built on."""

import argparse

from scorefold.cli.parser import Parser
from scorefold.runs import cite


def add_options(parser: Parser) -> None:
    parser.add_argument("folders", metavar="DIR", nargs="+", help="folders of runs")
    parser.set_defaults(command=_cite)


def _cite(arguments: argparse.Namespace) -> int:
    print(cite(*arguments.folders), end="")
    return 0
