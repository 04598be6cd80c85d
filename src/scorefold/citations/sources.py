"""What docstrings name as sources, as BibTeX."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import NamedTuple

_ENTRY = re.compile(r"@(\w+)\{([\w-]+),\n(.*?)\n\}", re.DOTALL)
_FIELD = re.compile(r"^  (\w+) = \{(.*)\},?$", re.MULTILINE)
_PASSAGE = re.compile(r"^\s*(?:Sources?|See)\b[^:\n]*:.*?(?=\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
_OWN = """@software{scorefold,
  author = {{The scorefold developers}},
  title = {scorefold: score-based diffusion models on flat space and {R}iemannian manifolds},
  version = {%s},
  year = {2026}
}"""


class CitedWork(NamedTuple):
    """An entry of ``references.bib``: its key, the ways in which docstrings name it, BibTeX."""

    key: str
    names: tuple[str, ...]
    bibtex: str

    def named_in(self, text: str) -> bool:
        return any(re.search(rf"(?<!& ){re.escape(name)}(?!\d)", text) for name in self.names)


@functools.cache
def references() -> dict[str, CitedWork]:
    """All entries, by key."""
    text = files("scorefold.citations").joinpath("references.bib").read_text("utf-8")
    found = {}
    for kind, key, body in _ENTRY.findall(text):
        fields = dict(_FIELD.findall(body))
        names = tuple(fields.pop("shorthand").split(" | "))
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        found[key] = CitedWork(key, names, f"@{kind}{{{key},\n{lines}\n}}")
    return found


def citations(*objects: object) -> str:
    """BibTeX of scorefold and of the works that its docstrings name as sources of ``objects``:
    models, bridges, descriptions, noising, losses, of which all parts are looked at; classes and
    functions.

        print(citations(model, sf.Denoising(), sf.proximal.ProximalStep))

    Entries come in the order of their keys. Works that a data set comes from are named by
    ``scorefold datasets``. **Raises:** ``TypeError`` for what is not of scorefold.
    """
    from scorefold._version import __version__

    keys: set[str] = set()
    for one in objects:
        parts = list(_parts(one))
        if not parts:
            raise TypeError(
                f"citations: models, bridges, descriptions or functions of scorefold, not "
                f"{type(one).__name__}."
            )
        keys.update(key for part in parts for key in sources_of(part))
    entries = [references()[key].bibtex for key in sorted(keys)]
    return "\n\n".join([_OWN % __version__, *entries]) + "\n"


def sources_of(thing: object) -> list[str]:
    """Keys of ``references.bib`` that the docstring of a class or function names."""
    text = " ".join(" ".join(passages(thing.__doc__ or "")).split())
    return [key for key, reference in references().items() if reference.named_in(text)]


def passages(docstring: str) -> list[str]:
    """The passages of a docstring that name sources."""
    return _PASSAGE.findall(docstring)


def _parts(one: object, seen: set[int] | None = None) -> Iterator[object]:
    """The classes of scorefold in a tree of modules, and its functions."""
    seen = set() if seen is None else seen
    if id(one) in seen:
        return
    seen.add(id(one))
    kind = one if isinstance(one, type) else type(one)
    if kind.__module__.startswith("scorefold"):
        yield from (c for c in kind.__mro__ if c.__module__.startswith("scorefold"))
    elif callable(one) and getattr(one, "__module__", "").startswith("scorefold"):
        yield one
    if isinstance(one, Mapping):
        inside: list[object] = list(one.values())
    elif isinstance(one, tuple | list):
        inside = list(one)
    elif dataclasses.is_dataclass(one) and not isinstance(one, type):
        inside = [getattr(one, f.name, None) for f in dataclasses.fields(one)]
    else:
        inside = []
    for part in inside:
        yield from _parts(part, seen)
