"""All commands of ``scorefold``: a new one is a file beside this, and an entry of ``COMMANDS``."""

import argparse
from collections.abc import Callable

from scorefold._version import __version__
from scorefold.cli import bench, bridge, carry, evaluate, facts, fit, report, sample
from scorefold.cli.parser import Parser

COMMANDS: list[Callable[[argparse._SubParsersAction], None]] = [
    fit.add_command,
    sample.add_command,
    evaluate.add_command,
    report.add_command,
    bridge.add_command,
    carry.add_command,
    facts.add_commands,
    bench.add_command,
]
"""Each adds its parser, which sets ``command``, a function of the parsed arguments."""


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(
        prog="scorefold",
        description="Learn, sample and score distributions on flat space and on manifolds.",
    )
    parser.add_argument("--version", action="version", version=f"scorefold {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for add in COMMANDS:
        add(commands)
    for command in commands.choices.values():
        command.set_defaults(parser=command)
    return parser
