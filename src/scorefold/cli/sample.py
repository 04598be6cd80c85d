"""``scorefold sample``: draws of a fitted model, in the units of its data."""

import argparse

from scorefold.cli.devices import add_device_option
from scorefold.cli.options import seed, stated, whole
from scorefold.cli.parser import Parser
from scorefold.runs import write_draws
from scorefold.runs.tables import ENDINGS


def add_options(sample: Parser) -> None:
    sample.add_argument("folder", metavar="DIR", help="the folder of a run, or of several seeds")
    sample.add_argument(
        "-n", type=whole(1, 10**10), default=1000, metavar="N", help="how many (default: 1000)"
    )
    sample.add_argument("--out", metavar="FILE", required=True, help=", ".join(ENDINGS))
    sample.add_argument("--seed", type=seed, default=0, help="of the draws (default: 0)")
    score = sample.add_argument_group("score model")
    score.add_argument("--method", choices=["sde", "ode"], help="default: sde")
    score.add_argument(
        "--steps", type=whole(1, 10**6), metavar="N", help="of the SDE (default: 200)"
    )
    add_device_option(sample)
    sample.set_defaults(command=_sample)


def _sample(arguments: argparse.Namespace) -> int:
    print(write_draws(**stated(arguments, write_draws)))
    return 0
