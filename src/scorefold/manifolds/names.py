"""Manifolds by name, as written in saved files and on the command line."""

import difflib
import re
from collections.abc import Callable

from scorefold import _installed
from scorefold._geometry import Manifold
from scorefold._oneline import one_line
from scorefold.manifolds.euclidean import Euclidean
from scorefold.manifolds.hyperbolic import Hyperbolic
from scorefold.manifolds.product import Product
from scorefold.manifolds.so3 import SO3
from scorefold.manifolds.sphere import Sphere
from scorefold.manifolds.torus import Torus

_FAMILIES: dict[str, Callable[[int], Manifold]]
_FAMILIES = {"R": Euclidean, "S": Sphere, "T": Torus, "H": Hyperbolic}
_VALID = 'Valid names: "R^d", "S^d", "T^d", "H^d", "SO(3)", and products such as "S^2 x R^1" or '
_VALID += '"S^2 x (T^2 x SO(3))".'
_LONGEST = 10_000
_DEEPEST = 50
_WORD = re.compile(r"SO\([0-9]*\)|[()x×]|[^()x×\s]+", flags=re.IGNORECASE)


def manifold_from_name(name: str) -> Manifold:
    """The manifold whose ``name`` this is: ``manifold_from_name(m.name) == m``.

    ``"R^3"``, ``"S^2"``, ``"T^7"``, ``"H^2"``, ``"SO(3)"`` and products joined by `` x ``, nested
    in parentheses. The caret and letter case may be left out (``"s2"``, ``"so3"``). Other names
    are looked up among the entry points ``scorefold.manifolds`` of installed packages: each leads
    to a manifold, to what makes it, or, named without the number at its end, to what makes it of
    that number.
    **Raises:** ``ValueError`` with the valid forms and the nearest valid name; so does a name of
    more than 10,000 characters or 50 levels of parentheses.
    """
    if len(name) > _LONGEST:
        raise ValueError(f"The name {_quoted(name)} has {len(name)} characters. {_VALID}")
    try:
        return _parsed(name)
    except ValueError:
        found = _from_package(name.strip())
        if found is None:
            raise
        return found


def _parsed(name: str) -> Manifold:
    # The factors read so far, of the product in hand and of those around it; then, for the product
    # in hand, whether a cross or an opening parenthesis came last.
    levels: list[list[Manifold]] = [[]]
    wanting = True
    for word in _WORD.findall(name):
        if word == "(" and wanting:
            levels.append([])
            if len(levels) > _DEEPEST:
                raise ValueError(f"{_quoted(name)} is nested too deeply. {_VALID}")
        elif word == ")" and not wanting and len(levels) > 1:
            inner = _product(levels.pop())
            levels[-1].append(inner)
        elif word in "xX×" and not wanting:
            wanting = True
        elif word not in "()xX×" and wanting:
            levels[-1].append(_factor(word))
            wanting = False
        elif word in "()":
            raise ValueError(f"The parentheses in {_quoted(name)} do not match. {_VALID}")
        else:
            raise ValueError(f"No manifold is called {_quoted(name)}. {_VALID} {_nearest(name)}")
    if len(levels) > 1:
        raise ValueError(f"The parentheses in {_quoted(name)} do not match. {_VALID}")
    if wanting:
        raise ValueError(f"No manifold is called {_quoted(name)}. {_VALID} {_nearest(name)}")
    return _product(levels[0])


def _product(factors: list[Manifold]) -> Manifold:
    return Product(*factors) if len(factors) > 1 else factors[0]


def _factor(word: str) -> Manifold:
    if word.lower() in ("so(3)", "so3"):
        return SO3()
    match = re.fullmatch(r"([rsth])\^?([0-9]{1,6})", word.lower())
    if match is None:
        found = _from_package(word)
        if found is not None:
            return found
        raise ValueError(f"No manifold is called {_quoted(word)}. {_VALID} {_nearest(word)}")
    return _FAMILIES[match[1].upper()](int(match[2]))


def _from_package(word: str) -> Manifold | None:
    """The manifold of an entry point; None if there is none of that name."""
    size = re.search(r"\^?([0-9]{1,6})$", word)
    made = _installed.find("manifolds", word)
    if made is None and size is not None:
        family = _installed.find("manifolds", word[: size.start()])
        made = None if family is None else family(int(size[1]))
    if isinstance(made, type):
        made = made()
    if made is None or isinstance(made, Manifold):
        return made
    raise ValueError(f"The entry point of {_quoted(word)} leads to no manifold: {made!r:.100}.")


def _quoted(text: str) -> str:
    return f"'{one_line(text, 60)}'"


def _nearest(text: str) -> str:
    word = text[:60]
    digits = re.search(r"[1-9][0-9]{0,5}", word)
    d = digits[0] if digits else "2"
    known = [f"{family}^{d}" for family in _FAMILIES]
    known += ["SO(3)", *_installed.names("manifolds")]
    return f'Nearest: "{difflib.get_close_matches(word.upper(), known, n=1, cutoff=0.0)[0]}".'
