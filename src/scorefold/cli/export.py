"""``scorefold export``: a run as a folder in the shape of the Hugging Face Hub."""

import argparse

from scorefold.cli.options import stated
from scorefold.cli.parser import Parser
from scorefold.runs import export


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", help="the folder of a run")
    parser.add_argument("--out", metavar="FOLDER", required=True, help="new, or an earlier export")
    parser.add_argument("--title", metavar="TEXT", help="of the model card (default: the model)")
    parser.add_argument("--licence", metavar="NAME",
                        help="of the model, such as cc-by-4.0 (default: not stated)")  # fmt: skip
    parser.add_argument("--data-licence", metavar="TEXT",
                        help="of the data (default: what is known by name)")  # fmt: skip
    parser.add_argument("--intended-use", metavar="TEXT",
                        help="what the model is for (default: not stated)")  # fmt: skip
    parser.set_defaults(command=_export)


def _export(arguments: argparse.Namespace) -> int:
    print(export(**stated(arguments, export)))
    return 0
