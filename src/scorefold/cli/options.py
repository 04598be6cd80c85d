"""Options that several commands have, and the types of numbers."""

import argparse
import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from scorefold.runs import Reading, Setting

_READING = tuple(field.name for field in fields(Reading))


def number(setting: Setting) -> Callable[[str], int | float]:
    """The type of options that state a setting."""

    def read(text: str) -> int | float:
        try:
            if setting.kind == "real":
                value: int | float = float(text)
            else:
                value = int(text) if re.fullmatch(r"[+-]?[0-9]{1,15}", text) else math.nan
        except ValueError:
            value = math.nan
        if not setting.holds(value):
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not {setting.range()}")
        return value

    return read


def whole(low: int, high: int) -> Callable[[str], int | float]:
    """Of options that are whole numbers from ``low`` to ``high``."""
    return number(Setting("", "", "whole", low, high))


def real(low: float, high: float) -> Callable[[str], int | float]:
    """Of options that are real numbers from ``low`` to ``high``."""
    return number(Setting("", "", "real", low, high))


few = whole(1, 1000)
"""Of seeds: each costs as much as the first."""
seed = whole(0, 2**31 - 1)
positive = real(1e-30, 1e30)
"""Of sizes and times: float32 holds what is in this range, and its inverse."""


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """How a table is found, read and split."""
    parser.add_argument("data", metavar="DATA", help="a name (scorefold datasets) or a file")
    add_reading_options(parser)


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """How tables are read and split."""
    parser.add_argument("--manifold", help="S^2, T^3, SO(3), H^2, R^4, 'S^2 x R^1' …")
    parser.add_argument("--columns", help="coordinate columns of a file: lat,lon, or by another "
                        "name: lat=north,lon=east")  # fmt: skip
    unit = parser.add_mutually_exclusive_group()
    unit.add_argument("--degrees", dest="degrees", action="store_true", default=None)
    unit.add_argument("--radians", dest="degrees", action="store_false")
    parser.add_argument("--group", help="column whose equal entries stay in one part")
    add_drop_options(parser)
    parser.add_argument("--weights", metavar="COLUMN", help="column of weights ≥ 0 of the rows, in "
                        "any unit (default: all rows count alike)")  # fmt: skip
    parser.add_argument("--protocol", help="how rows are split (default: grouped)")
    parser.add_argument(
        "--seed", type=seed, default=0, help="of the split and the model (default: 0)"
    )
    parser.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")


def add_drop_options(parser: argparse.ArgumentParser) -> None:
    """Which rows of a table are left out."""
    parser.add_argument("--drop", action="store_true", default=None,
                        help="leave out rows that are not finite or out of range")  # fmt: skip
    parser.add_argument("--drop-value", action="append", metavar="[COLUMN=]NUMBER",
                        help="leave out rows with this code for no value; "
                        "may be repeated")  # fmt: skip


def reading(arguments: argparse.Namespace) -> Reading:
    """What was stated of how tables are read and split."""
    return Reading(**{name: getattr(arguments, name) for name in _READING})


def add_earth_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--earth", action=argparse.BooleanOptionalAction, default=None,
                        help="coastlines in pictures of S^2 (default: for known data sets of the "
                        "Earth)")  # fmt: skip


def add_run_options(
    parser: argparse.ArgumentParser, folder: str, length: Sequence[Setting]
) -> None:
    """How long is trained, into which folder, and what is shown. ``folder``: that by default."""
    group = parser.add_mutually_exclusive_group()
    for setting in length:
        add_setting(group, setting)
    parser.add_argument("--out", metavar="DIR", help=f"default: {folder}")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--no-report", dest="report", action="store_false", help="numbers only")
    parser.add_argument("--quiet", dest="progress", action="store_false", help="no progress bar")


def stated(arguments: argparse.Namespace, call: Callable[..., object]) -> dict[str, Any]:
    """The arguments of ``call`` that options of the same names state."""
    return {name: getattr(arguments, name) for name in inspect.signature(call).parameters
            if hasattr(arguments, name)}  # fmt: skip


def add_setting(group: argparse._ActionsContainer, setting: Setting) -> None:
    """The option that states a setting of a model or of its training."""
    if setting.kind == "word":
        group.add_argument(setting.option, choices=setting.choices, help=setting.help)
        return
    metavar = "SECONDS" if setting.name == "budget" else "N" if setting.kind == "whole" else "X"
    group.add_argument(setting.option, type=number(setting), metavar=metavar, help=setting.help)
