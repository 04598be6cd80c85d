"""``scorefold evaluate``: the numbers of a finished run, or those of other points."""

import argparse
import json

from scorefold.cli.devices import add_device_option
from scorefold.cli.options import add_drop_options, stated
from scorefold.cli.parser import Parser
from scorefold.runs import evaluate


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", help="the folder of a run, or of several seeds")
    parser.add_argument(
        "points", metavar="DATA", nargs="?",
        help="other points, for a model (default: the run's test points)",
    )  # fmt: skip
    parser.add_argument("--columns", help="coordinate columns of a file: lat,lon (default: those "
                        "of the run)")  # fmt: skip
    add_drop_options(parser)
    parser.add_argument("--weights", metavar="COLUMN", help="column of weights ≥ 0 of the other "
                        "points (default: all count alike)")  # fmt: skip
    parser.add_argument("--no-samples", dest="samples", action="store_false",
                        help="likelihood and total mass only")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    add_device_option(parser)
    parser.set_defaults(command=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> int:
    found = evaluate(**stated(arguments, evaluate))
    print(json.dumps(found.metrics, allow_nan=False) if arguments.json else found.text)
    return 0
