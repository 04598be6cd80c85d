"""``scorefold audit | datasets``: what there is to know before anything is fitted."""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import asdict
from typing import Any

from scorefold import ScorefoldWarning, data
from scorefold.cli.parser import add_data_options, data_options

__all__ = ["add_commands", "say_warnings"]


def say_warnings(dataset: data.Dataset) -> None:
    """Warn of each thing that should be known about a table: how columns were read where names
    left that open, codes for no value, constant columns."""
    for line in dataset.warnings:
        warnings.warn(f"{dataset.name}: {line}", ScorefoldWarning, stacklevel=2)


def add_commands(commands: Any) -> None:
    audit = commands.add_parser("audit", help="what is wrong with a data set")
    add_data_options(audit)
    audit.add_argument("--json", action="store_true", help="print a JSON object")
    audit.set_defaults(command=_audit)

    datasets = commands.add_parser("datasets", help="the data sets known by name")
    datasets.add_argument("--json", action="store_true", help="print a JSON list")
    datasets.set_defaults(command=_datasets)


def _audit(arguments: argparse.Namespace) -> int:
    found = data.audit(arguments.data, seed=arguments.seed, **data_options(arguments))
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
