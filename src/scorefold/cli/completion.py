"""``scorefold --install-completion``: words that the shell completes, by shtab."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from scorefold._files import write_whole
from scorefold.cli.parser import Parser
from scorefold.runs.errors import RunError

_FILES = ("DATA", "FILE", "POINTS", "A", "B", "C")
_FOLDERS = ("DIR", "FOLDER")
SHELLS = {
    "bash": ("XDG_DATA_HOME", "~/.local/share", "bash-completion/completions/scorefold", ""),
    "zsh": ("ZDOTDIR", "~", ".zfunc/_scorefold",
            "fpath=({folder} $fpath); autoload -Uz compinit; compinit"),
    "fish": ("XDG_CONFIG_HOME", "~/.config", "fish/completions/scorefold.fish", ""),
}  # fmt: skip
"""Of each shell: where its files lie, by a variable or by default; the file; a line that the
file of its settings must hold."""


class InstallCompletion(argparse.Action):
    """``--install-completion [SHELL]``: writes the file, says where, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: object, values: object,
                 option_string: str | None = None) -> None:  # fmt: skip
        assert isinstance(parser, Parser)
        print(install(parser, str(values or _of_environment())))
        parser.exit()


def install(parser: Parser, shell: str) -> str:
    """Write the file of a shell; returns what to say.

    **Raises:** ``RunError`` for a shell without one, and where it cannot be written.
    """
    if shell not in SHELLS:
        raise RunError(
            f"--install-completion: {shell or 'no shell'} is not known ($SHELL): say "
            f"{', '.join(SHELLS)}."
        )
    variable, usual, name, line = SHELLS[shell]
    stated = os.environ.get(variable, "")
    base = Path(stated if os.path.isabs(stated) else os.path.expanduser(usual))
    if not base.is_absolute() or base == Path("/"):
        raise RunError("--install-completion: there is no home folder (HOME): set it.")
    path = base / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, script(parser, shell))
    except OSError as error:
        raise RunError(f"--install-completion: cannot write {path}: {error.strerror}.") from error
    more = f" The file of settings needs: {line.format(folder=path.parent)}" if line else ""
    return f"Written: {path}. New shells complete the words of scorefold.{more}"


def script(parser: Parser, shell: str) -> str:
    """What the shell runs."""
    import shtab

    for one in _parsers(parser):
        one.complete()
        for action in one._actions:
            word = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
            if action.choices is None and word in _FILES:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.choices is None and word in _FOLDERS:
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return shtab.complete(parser, shell)


def _parsers(parser: Parser) -> Iterator[Parser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from _parsers(one)


def _of_environment() -> str:
    return Path(os.environ.get("SHELL", "")).name
