"""``scorefold fit``: data in; a model, its numbers and a report out."""

from __future__ import annotations

import argparse

from scorefold import _installed
from scorefold.cli.parser import (
    add_data_options,
    add_earth_option,
    add_run_options,
    add_setting,
    few,
    reading,
    stated,
)
from scorefold.runs import MODELS, FitRequest, carry_out
from scorefold.runs.models.choices import LEAST, model_settings
from scorefold.runs.setting import TRAINING


def add_command(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser("fit", help="fit a model to data")
    add_data_options(parser)
    parser.add_argument(
        "--model", choices=_Names(MODELS),
        help=f"default: kernel; below {LEAST} training points kde, one bandwidth for all",
    )  # fmt: skip
    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting, names in model_settings().items():
        title = f"--model {', '.join(names)}"
        if title not in groups:
            groups[title] = parser.add_argument_group(title)
        add_setting(groups[title], setting)
    add_earth_option(parser)
    parser.add_argument(
        "--seeds", type=few, default=1, metavar="N", help="seed, seed + 1, … (default: 1)"
    )
    add_run_options(parser, "runs/DATA-MODEL-PROTOCOL-SEED", TRAINING[:2])
    for setting in TRAINING[2:]:
        add_setting(parser, setting)
    parser.set_defaults(command=_fit)


class _Names(list[str]):
    """Models by name; those of installed packages are looked up when they are asked for."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in _installed.names("models")


def _fit(arguments: argparse.Namespace) -> int:
    names = [setting.name for setting in model_settings()]
    settings = {name: v for name in names if (v := getattr(arguments, name)) is not None}
    request = FitRequest(
        **stated(arguments, FitRequest), settings=settings, reading=reading(arguments)
    )
    print(carry_out(request, arguments.listener).text)
    return 0
