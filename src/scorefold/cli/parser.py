"""The command line's ``argparse``: one-line errors with the nearest valid word."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from scorefold.runs.errors import RunError


class Parser(argparse.ArgumentParser):
    """``argparse`` that says what is wrong in one line and suggests the nearest word.

    ``options``: adds the options of a command, when the command is first asked for.
    ``prepare``: called with the words before they are parsed; may add options that they name.
    """

    options: Callable[["Parser"], None] | None = None
    prepare: Callable[[Sequence[str]], None] = staticmethod(lambda words: None)

    def complete(self) -> None:
        """Add the options."""
        add, self.options = self.options, None
        if add is not None:
            add(self)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # type: ignore[override]
        words = sys.argv[1:] if args is None else list(args)
        self.complete()
        self.prepare(words)
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        hint = ""
        chosen = re.search(r"invalid choice: '?(.*?)'? \(choose from (.*)\)", message)
        if chosen:
            words = [w.strip(" '\"") for w in chosen.group(2).split(",")]
            message = f"{message.split(':')[0]}: no choice {chosen.group(1)!r}"
            hint = _nearest(chosen.group(1), words) + f" Choices: {', '.join(words)}."
        unknown = re.match(r"unrecognized arguments: (.*)", message)
        if unknown:
            word = unknown.group(1).split()[0]
            message = f"unknown argument {word!r}"
            hint = _nearest(word, [o for a in self._actions for o in a.option_strings])
        if message.endswith("expected one argument"):
            hint = " A value that begins with a minus sign needs '=': --option=-3."
        raise RunError(f"{message}.{hint} See {self.prog} --help.")

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        found, rest = self.parse_known_args(args, namespace)
        if rest:
            # The subcommand knows which words it would have taken.
            parser = getattr(found, "parser", self)
            parser.error("unrecognized arguments: " + " ".join(rest))
        return found


def _nearest(word: str, words: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""
