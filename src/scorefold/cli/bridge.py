"""``scorefold bridge A B …``: two data sets in, or many snapshots; a bridge, its numbers and a
report out."""

import argparse

from scorefold.cli.devices import add_device_option
from scorefold.cli.options import (
    add_earth_option,
    add_reading_options,
    add_run_options,
    positive,
    reading,
    stated,
)
from scorefold.cli.parser import Parser
from scorefold.runs import BRIDGES, BridgeRequest, RunError, carry_out
from scorefold.runs.bridges.choices import LENGTH, METHODS


def add_options(parser: Parser) -> None:
    parser.add_argument("data", metavar="DATA", nargs="+",
                        help="two or more names (scorefold datasets) or files, or the name of a "
                        "set of snapshots, or a table with a column of times (--time)")  # fmt: skip
    add_reading_options(parser)
    add_earth_option(parser)
    parser.add_argument("--model", choices=list(BRIDGES), help="default: light")
    parser.add_argument("--variance", type=positive, metavar="S",
                        help="of Brownian motion from A to B, or from the first snapshot to the "
                        "last (default: from the data)")  # fmt: skip
    many = parser.add_argument_group("three or more snapshots")
    many.add_argument("--method", choices=METHODS,
                      help="bridge: Brownian motion between snapshots (--model); current: carried "
                      "by a drift that is learned; momentum, spline: velocities that wander, "
                      "without noise; best (default): spline, unless inner snapshots that are left "
                      "out are clearly nearer to another of the last three")  # fmt: skip
    many.add_argument("--times", metavar="T,T,…", help="of the snapshots (default: 0,1,2,…)")
    many.add_argument("--time", metavar="COLUMN",
                      help="the one table DATA has a row for each point, and its time there "
                      "(numbers or dates)")  # fmt: skip
    many.add_argument("--id", dest="member", metavar="COLUMN",
                      help="labels of the members in it, which stay in one part of the "
                      "split")  # fmt: skip
    many.add_argument("--leave-out", action="store_true",
                      help="also fit every method without each inner snapshot in turn, and "
                      "measure")  # fmt: skip
    many.add_argument("--growth", action="store_true",
                      help="of --method current: also learn where members multiply or vanish, and "
                      "keep it where inner snapshots are nearer with it")  # fmt: skip
    many.add_argument("--survivors", action="store_true",
                      help="of --method bridge: join members seen at both ends of an "
                      "interval")  # fmt: skip
    add_run_options(parser, "runs/bridge-A-B-MODEL-SEED", LENGTH)
    add_device_option(parser)
    parser.set_defaults(command=_bridge)


def request_of(arguments: argparse.Namespace) -> BridgeRequest:
    """What is asked for."""
    found = stated(arguments, BridgeRequest)
    found |= {"data": tuple(arguments.data), "times": _times(arguments.times)}
    return BridgeRequest(**found, reading=reading(arguments))


def _bridge(arguments: argparse.Namespace) -> int:
    print(carry_out(request_of(arguments), arguments.listener).text)
    return 0


def _times(text: str | None) -> tuple[float, ...] | None:
    try:
        return None if text is None else tuple(float(word) for word in text.split(","))
    except ValueError as error:
        raise RunError(f"--times must be numbers with commas between, got {text!r}.") from error
