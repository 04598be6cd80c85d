"""Manifolds by name, as written in saved files and on the command line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from scorefold.manifolds._base import Manifold
from scorefold.manifolds.euclidean import Euclidean
from scorefold.manifolds.hyperbolic import Hyperbolic
from scorefold.manifolds.product import Product
from scorefold.manifolds.so3 import SO3
from scorefold.manifolds.sphere import Sphere
from scorefold.manifolds.torus import Torus

__all__ = ["manifold_from_name"]

_FAMILIES: dict[str, Callable[[int], Manifold]] = {
    "R": Euclidean,
    "S": Sphere,
    "T": Torus,
    "H": Hyperbolic,
}
_VALID = 'Valid names: "R^d", "S^d", "T^d", "H^d", "SO(3)", and products such as "S^2 x R^1" or '
_VALID += '"S^2 x (T^2 x SO(3))".'


def manifold_from_name(name: str) -> Manifold:
    """The manifold whose ``name`` this is: ``manifold_from_name(m.name) == m``.

    ``"R^3"``, ``"S^2"``, ``"T^7"``, ``"H^2"``, ``"SO(3)"`` and products joined by `` x ``, nested
    in parentheses. The caret and letter case may be left out (``"s2"``, ``"so3"``).
    **Raises:** ``ValueError`` with the valid forms and the nearest valid name.
    """
    parts = _factors(name)
    if len(parts) > 1:
        return Product(*(manifold_from_name(p) for p in parts))
    text = parts[0]
    if text.startswith("(") and text.endswith(")"):
        return manifold_from_name(text[1:-1])
    if re.fullmatch(r"SO\(?3\)?", text, flags=re.IGNORECASE):
        return SO3()
    match = re.fullmatch(r"([RSTH])\^?([0-9]{1,6})", text, flags=re.IGNORECASE)
    if match is None:
        raise ValueError(f"No manifold is called {text!r}. {_VALID} {_nearest(text)}")
    return _FAMILIES[match[1].upper()](int(match[2]))


def _factors(name: str) -> list[str]:
    """The parts between the crosses that stand outside parentheses."""
    parts, depth = [""], 0
    for c in name.replace("×", "x"):
        depth += (c == "(") - (c == ")")
        if depth < 0:
            break
        if c == "x" and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    if depth != 0:
        raise ValueError(f"The parentheses in {name!r} do not match. {_VALID}")
    return [p.strip() for p in parts]


def _nearest(text: str) -> str:
    digits = re.search(r"[1-9][0-9]{0,5}", text)
    d = digits[0] if digits else "2"
    known = [f"{family}^{d}" for family in _FAMILIES] + ["SO(3)"]
    return f'Nearest: "{difflib.get_close_matches(text.upper(), known, n=1, cutoff=0.0)[0]}".'
