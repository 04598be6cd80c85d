"""``scorefold regions``: the smallest regions that hold given shares of a fitted model."""

import argparse

from scorefold.cli.devices import add_device_option
from scorefold.cli.options import real, seed, stated, whole
from scorefold.cli.parser import Parser
from scorefold.runs import write_regions

_share = real(0.001, 0.999)


def _shares(text: str) -> tuple[float, ...]:
    return tuple(float(_share(word)) for word in text.split(","))


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", help="the folder of a run")
    parser.add_argument("--out", metavar="FILE", required=True, help=".geojson (S^2) or .json")
    parser.add_argument("--mass", type=_shares, default=(0.5, 0.9), metavar="M,M,…",
                        help="shares that the regions hold (default: 0.5,0.9)")  # fmt: skip
    parser.add_argument("--calibrate", action="store_true",
                        help="the validation points of the run set the levels: regions hold shares "
                        "of the data, not of the model's mass")  # fmt: skip
    parser.add_argument("-n", type=whole(1000, 10**8), default=20_000, metavar="N",
                        help="draws that set the levels (default: 20000)")  # fmt: skip
    parser.add_argument("--resolution", type=whole(2, 4096), default=128, metavar="N",
                        help="edges of the triangles of contours on a quarter of a great circle "
                        "(default: 128)")  # fmt: skip
    parser.add_argument("--seed", type=seed, default=0, help="of the draws (default: 0)")
    parser.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    add_device_option(parser)
    parser.set_defaults(command=_regions)


def _regions(arguments: argparse.Namespace) -> int:
    print(write_regions(**stated(arguments, write_regions)))
    return 0
