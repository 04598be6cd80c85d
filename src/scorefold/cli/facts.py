"""``scorefold audit | datasets``: what there is to know before anything is fitted."""

import argparse
import json
from dataclasses import asdict

from scorefold import data
from scorefold.cli.parser import add_data_options, reading


def add_commands(commands: argparse._SubParsersAction) -> None:
    audit = commands.add_parser("audit", help="what is wrong with a data set")
    add_data_options(audit)
    audit.add_argument("--json", action="store_true", help="print a JSON object")
    audit.set_defaults(command=_audit)

    datasets = commands.add_parser("datasets", help="the data sets known by name")
    datasets.add_argument("--json", action="store_true", help="print a JSON list")
    datasets.set_defaults(command=_datasets)


def _audit(arguments: argparse.Namespace) -> int:
    found = data.audit(arguments.data, seed=arguments.seed, data_dir=arguments.data_dir,
                       **reading(arguments).stated())  # fmt: skip
    print(json.dumps(found.to_dict(), allow_nan=False) if arguments.json else found)
    return 0


def _datasets(arguments: argparse.Namespace) -> int:
    rows = data.datasets()
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows]))
        return 0
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{row.name:<{width}}  {row.manifold:<6}  {row.title} ({row.licence})")
    return 0
