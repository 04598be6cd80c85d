"""``scorefold fit``: data in; a model, its numbers and a report out."""

import argparse
import functools
import itertools
from collections.abc import Sequence

from scorefold import _installed
from scorefold.cli.devices import add_device_option, add_processes_option
from scorefold.cli.options import (
    add_data_options,
    add_earth_option,
    add_run_options,
    add_setting,
    few,
    reading,
    stated,
)
from scorefold.cli.parser import Parser
from scorefold.runs import MODELS, FitRequest, carry_out
from scorefold.runs.models.choices import LEAST, model_choice, model_settings
from scorefold.runs.setting import TRAINING


def add_options(parser: Parser) -> None:
    add_data_options(parser)
    parser.add_argument(
        "--model", type=_model_name, metavar=f"{{{','.join(MODELS)}}}",
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
    add_device_option(parser)
    add_processes_option(parser)
    parser.set_defaults(command=_fit)
    parser.prepare = functools.partial(_add_settings_of_guests, parser)


def _model_name(name: str) -> str:
    """A model by name; those of installed packages are looked up when they are asked for."""
    if name not in MODELS and name not in (known := _installed.names("models")):
        raise argparse.ArgumentTypeError(
            f"invalid choice: {name!r} (choose from {', '.join((*MODELS, *known))})"
        )
    return name


def _add_settings_of_guests(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """The options of the model of an installed package, if one is named."""
    named = {b for a, b in itertools.pairwise(words) if a == "--model"}
    named |= {word.removeprefix("--model=") for word in words if word.startswith("--model=")}
    unknown = named.difference(MODELS)
    for name in unknown.intersection(_installed.names("models")) if unknown else ():
        group = parser.add_argument_group(f"--model {name}")
        for setting in model_choice(name).settings:
            if setting.option not in parser._option_string_actions:
                add_setting(group, setting)


def _fit(arguments: argparse.Namespace) -> int:
    known = [
        *model_settings(),
        *(model_choice(arguments.model).settings if arguments.model else ()),
    ]
    found = {setting.name: getattr(arguments, setting.name) for setting in known}
    settings = {name: value for name, value in found.items() if value is not None}
    request = FitRequest(
        **stated(arguments, FitRequest), settings=settings, reading=reading(arguments)
    )
    print(carry_out(request, arguments.listener).text)
    return 0
