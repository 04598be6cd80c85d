"""All commands of ``scorefold``: a new one is a file beside this, and a line of ``COMMANDS``."""

from collections.abc import Callable
from importlib import import_module
from typing import NamedTuple

from scorefold._version import __version__
from scorefold.cli.completion import SHELLS, InstallCompletion
from scorefold.cli.parser import Parser


class Command(NamedTuple):
    """``help``: what it does; ``add_options``: adds its options to its parser, and sets
    ``command``, a function of the parsed arguments."""

    help: str
    add_options: Callable[[Parser], None]


def _of(file: str) -> Callable[[Parser], None]:
    """Those of a file beside this, which is imported when its command is asked for:
    ``scorefold --help`` needs none of them, nor JAX."""
    return lambda parser: import_module(f"scorefold.cli.{file}").add_options(parser)


COMMANDS = {
    "fit": Command("fit a model to data", _of("fit")),
    "sample": Command("draw from a fitted model", _of("sample")),
    "regions": Command("where the density of a fitted model is highest", _of("regions")),
    "evaluate": Command("held-out numbers of a fitted model or bridge", _of("evaluate")),
    "report": Command("write the report of a run again", _of("report")),
    "serve": Command("a local page on runs: draws, densities, comparisons", _of("serve")),
    "bridge": Command("a Schrödinger bridge between data sets", _of("bridge")),
    "carry": Command("move points along a fitted bridge", _of("carry")),
    "cite": Command("BibTeX of what runs are built on", _of("cite")),
    "export": Command("a run as a folder of the Hugging Face Hub's shape", _of("export")),
    "audit": Command("what is wrong with a data set", _of("audit")),
    "datasets": Command("the data sets known by name", _of("datasets")),
    "doctor": Command("what is wrong with a run, or with the installation", _of("doctor")),
    "bench": Command("compute a table of the papers", _of("bench")),
    "grid": Command("compute a table of one's own", _of("grid")),
}


def build_parser() -> Parser:
    """The parser of all commands, whose own parsers have their options once they are asked for."""
    parser = Parser(
        prog="scorefold",
        description="Learn, sample and score distributions on flat space and on manifolds.",
    )
    parser.add_argument("--version", action="version", version=f"scorefold {__version__}")
    parser.add_argument(
        "--install-completion",
        nargs="?",
        metavar="SHELL",
        action=InstallCompletion,
        help=f"complete words in {', '.join(SHELLS)} (default: that of $SHELL)",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.help)
        own.options = command.add_options
        own.set_defaults(parser=own)
    return parser
