"""Columns whose names are those of a coordinate system, and the order that names give."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scorefold._systems import System
from scorefold.data.columns.names import Name, read_name
from scorefold.data.columns.vocabulary import (
    FLAT,
    NAMED,
    ROTATION,
    SPHERE,
    TORSIONS,
    Family,
    called,
)
from scorefold.manifolds import Manifold

_WHERES = (
    "station sta site event evt epicenter epicentre hypocenter hypocentre receiver city town "
    "airport place point loc location position pos geo gps center centre centroid wgs84 nad83 "
    "epsg4326 4326 deg decimal dd north east y x port ship vessel lake sample sampling plot "
    "home school store stop user vehicle storm volcano quake fire flood crater target obj object "
    "a b 0 1 2 3 i j"
)
_FIRST = {"start", "begin", "from", "origin", "source", "src", "initial", "first", "before", "pre"}
_FIRST |= {"pickup", "departure", "dep", "old"}
_LAST = {"end", "stop", "to", "destination", "dest", "target", "final", "last", "after", "post"}
_LAST |= {"dropoff", "arrival", "arr", "new"}
PLACES = {*_WHERES.split(), *_FIRST, *_LAST}
"""Words beside latitude and longitude that say of what place they are."""


class Match(NamedTuple):
    """Columns whose names are those of a family: their numbers, one a role. ``rank`` 0 without
    prefix and suffix, 1 with them."""

    family: Family
    columns: tuple[int, ...]
    rank: int


def matches(family: Family, names: Sequence[Name]) -> list[Match]:
    """Every way in which columns bear all names of a family, in the order of the table."""
    found: dict[tuple[str, str], list[list[int]]] = {}
    numbers = {words[0]: i for i, words in enumerate(family.names) if words[0].isdigit()}
    width = len(family.names)
    for j, name in enumerate(names):
        if not name.quantity:
            continue
        for role, affix in _places(family, name.key, numbers):
            if family.prefixes is None or (affix[0] in family.prefixes and not affix[1]):
                here = found.setdefault(affix, [[] for _ in range(width)])[role]
                if j not in here:
                    here.append(j)
    out = []
    for affix, columns in found.items():
        if numbers and sum(re.fullmatch(re.escape(affix[0]) + r"\d+", n.key) is not None
                           for n in names) > width:  # fmt: skip
            continue  # x0 … x8 are not the first three of nine.
        if all(columns):
            rank = 0 if affix == ("", "") or family.prefixes is not None else 1
            # Two columns of one role (lat and latitude) are two matches.
            most = max(map(len, columns))
            for i in range(most):
                chosen = tuple(c[min(i, len(c) - 1)] for c in columns)
                if len(set(chosen)) == width:
                    out.append(Match(family, chosen, rank))
    return sorted(out, key=lambda m: (m.rank, min(m.columns)))


def _places(
    family: Family, key: str, numbers: dict[str, int]
) -> Iterator[tuple[int, tuple[str, str]]]:
    """(role, (prefix, suffix)) for every place in ``key`` where a word of the family stands."""
    if numbers:
        found = re.fullmatch(r"(.*?)(\d+)", key)
        if found:
            role = numbers.get(found[2], numbers.get(found[2].lstrip("0") or "0"))
            if role is not None:
                yield role, (found[1], "")
        return
    for role, words in enumerate(family.names):
        for word in sorted(words, key=len, reverse=True):
            if len(word) == 1:
                # Single letters stand at the end.
                if key.endswith(word):
                    yield role, (key[: -len(word)], "")
                continue
            at = key.find(word)
            if at >= 0:
                yield role, (key[:at], key[at + len(word) :])
                break


def roles(family: Family, name: Name) -> list[int]:
    """The roles that one name states by itself: it is one of the words, or holds one."""
    if family.weak or not name.quantity:
        return []
    return [
        role
        for role, words in enumerate(family.names)
        if name.key in words or any(word in words for word in name.words)
    ]


def families(space: Manifold) -> Iterator[Family]:
    """The usual names for columns of the systems of a space. On R^d and T^d they only order
    columns. A system that is unknown here has the names of its roles."""
    systems = {system.name: system for system in space.systems}
    for family in (*SPHERE, *ROTATION):
        system = systems.get(family.system)
        if system is not None and len(system.roles) == len(family.names):
            yield family
    for system in space.systems:
        yield from _by_size(system)


def _by_size(system: System) -> Iterator[Family]:
    """Families of systems of any number of columns: letters, running numbers, roles."""
    name, k = system.name, len(system.roles)
    if name == "hyperboloid":
        if k <= 4:
            yield called(name, "t time ct", *"xyz"[: k - 1], weak=True)
        yield Family(name, tuple((str(i),) for i in range(k)), weak=True)
        yield Family(name, (("t", "time"), *((f"x{i}",) for i in range(1, k))))
    elif name == "poincare":
        if k <= 3:
            yield called(name, *"xyz"[:k], weak=True)
        yield from _numbered(name, k)
    elif name == "flat":
        for words in FLAT:
            if 1 < k <= len(words):
                yield called(name, *words[:k], weak=True)
        yield from _numbered(name, k)
    elif name in ("vector", "angles"):
        yield from _numbered(name, k)
    elif name not in NAMED:
        yield Family(name, tuple((read_name(role).key,) for role in system.roles), weak=True)


def _numbered(system: str, k: int) -> Iterator[Family]:
    if k > 1:
        for first in (0, 1):
            yield Family(system, tuple((str(i + first),) for i in range(k)), weak=True)


def is_torsion(name: Name) -> bool:
    """Whether it is that of a torsion angle, without a place."""
    return name.key in TORSIONS


def torsions(names: Sequence[Name]) -> list[int] | None:
    """The order of columns that are all called as torsion angles: the usual one or, for those of
    numbered or lettered places (``phi_1``, ``psi_1``, ``phi_2`` …), place by place. ``None`` for
    other names."""
    plain = [TORSIONS.index(name.key) if is_torsion(name) else None for name in names]
    for ranks in (plain, [_torsion_at(name) for name in names]):
        if None not in ranks and len(set(ranks)) == len(ranks):
            return sorted(range(len(ranks)), key=lambda j: ranks[j])  # type: ignore[arg-type,return-value]
    return None


def _torsion_at(name: Name) -> tuple[tuple[tuple[int, int, str], ...], int] | None:
    """The place and the rank of the one torsion angle that a name holds."""
    found = []
    for i, word in enumerate(name.words):
        parts = re.fullmatch(r"(\D+)(\d*)", word)
        if word in TORSIONS:
            found.append((i, word, ""))
        elif parts and parts[1] in TORSIONS:
            found.append((i, parts[1], parts[2]))
    if len(found) != 1:
        return None
    i, word, digits = found[0]
    return place_of((*name.words[:i], *name.words[i + 1 :], digits)), TORSIONS.index(word)


def place_of(words: Sequence[str]) -> tuple[tuple[int, int, str], ...]:
    """What words are sorted by: first things before last ones, 2 before 10, a before b."""
    out = []
    for word in " ".join(words).split():
        for part in re.findall(r"\d{1,15}|\D+", word):
            time = 0 if part in _FIRST else 2 if part in _LAST else 1
            out.append((time, int(part), "") if part.isdecimal() else (time, -1, part))
    return tuple(out)
