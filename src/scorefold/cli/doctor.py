"""``scorefold doctor``: what is wrong with a run, or with the installation."""

import argparse
import json

from scorefold.cli.options import stated
from scorefold.cli.parser import Parser
from scorefold.runs import examine, installation


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", nargs="?",
                        help="the folder of a run, or of several seeds (default: the installation "
                        "is looked at)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    parser.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    parser.set_defaults(command=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    if arguments.folder is None:
        found = [("", installation())]
    else:
        found = examine(**stated(arguments, examine))
    wrong = sum(check.verdict == "wrong" for _, checks in found for check in checks)
    if arguments.json:
        print(json.dumps({name: [check._asdict() for check in checks] for name, checks in found}))
        return 1 if wrong else 0
    for name, checks in found:
        if name:
            print(name)
        wide = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{check.verdict:<8} {check.name:<{wide}}  {check.words}")
    untold = sum(check.verdict == "unknown" for _, checks in found for check in checks)
    count = f"{wrong} {'thing is' if wrong == 1 else 'things are'} wrong"
    said = count if wrong else "Nothing is wrong"
    print(said + (f"; {untold} could not be told." if untold else "."))
    return 1 if wrong else 0
