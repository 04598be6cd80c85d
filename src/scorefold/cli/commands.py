"""All commands of ``scorefold``: a new one is a room here and a file beside it."""

from __future__ import annotations

import argparse

from scorefold._version import __version__
from scorefold.cli import bench, bridge, facts, fit
from scorefold.cli.parser import Parser
from scorefold.runs.bridges import carry
from scorefold.runs.models import draws as sample
from scorefold.runs.models import evaluate as use

__all__ = ["build_parser"]


def build_parser() -> argparse.ArgumentParser:
    """All commands. Each sets ``command``, a function of the parsed arguments."""
    parser = Parser(
        prog="scorefold",
        description="Learn, sample and score distributions on flat space and on manifolds.",
    )
    parser.add_argument("--version", action="version", version=f"scorefold {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for room in (fit, sample, use, bridge, carry, facts, bench):
        room.add_commands(commands)
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return parser
