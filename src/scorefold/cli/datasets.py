"""``scorefold datasets``: the data sets known by name."""

import argparse
import json
from dataclasses import asdict

from scorefold import data
from scorefold.cli.parser import Parser


def add_options(datasets: Parser) -> None:
    datasets.add_argument("--json", action="store_true", help="print a JSON list")
    datasets.set_defaults(command=_datasets)


def _datasets(arguments: argparse.Namespace) -> int:
    rows = data.datasets()
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows]))
        return 0
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{row.name:<{width}}  {row.manifold:<6}  {row.title} ({row.licence})")
    return 0
