"""``scorefold audit``: what there is to know before anything is fitted."""

import argparse
import json

from scorefold import data
from scorefold.cli.options import add_data_options, reading
from scorefold.cli.parser import Parser


def add_options(audit: Parser) -> None:
    add_data_options(audit)
    audit.add_argument("--json", action="store_true", help="print a JSON object")
    audit.set_defaults(command=_audit)


def _audit(arguments: argparse.Namespace) -> int:
    found = data.audit(arguments.data, seed=arguments.seed, data_dir=arguments.data_dir,
                       **reading(arguments).stated())  # fmt: skip
    print(json.dumps(found.to_dict(), allow_nan=False) if arguments.json else found)
    return 0
