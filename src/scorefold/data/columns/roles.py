"""Which column is which: by name where names are those of the field, by position otherwise."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from scorefold.data._errors import DataError
from scorefold.data.columns.coordinates import Coordinates, system_of
from scorefold.data.columns.names import (
    PLACES,
    Family,
    Match,
    Name,
    families,
    matches,
    place_of,
    read_name,
    roles,
    suffix_unit,
    torsions,
    torsions_with_affixes,
)
from scorefold.manifolds import Manifold, manifold_from_name

__all__ = ["Assignment", "assign", "assign_like", "is_latlon"]

_CHOOSE = "choose by columns= (--columns)"


class Assignment(NamedTuple):
    """For each factor its system and the column numbers in the order of the system's roles; all
    column numbers, in the order in which values come and go; in words what was taken for
    granted."""

    systems: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    used: tuple[int, ...]
    notes: tuple[str, ...] = ()


def is_latlon(names: Sequence[Name]) -> bool:
    """Whether one pair of columns is called latitude and longitude (or declination and right
    ascension), of a place: enough to know that the points lie on S². ``pmra``, ``delta_lat`` and
    ``lat_index`` are other things."""
    sphere = manifold_from_name("S^2")
    found = _best(sphere, names, 1, strong=True)
    if len(found) != 1 or system_of(sphere, found[0].family.system).unit is None:
        return False
    return not _foreign(found[0], names)


def _foreign(match: Match, names: Sequence[Name]) -> bool:
    """Whether the names hold more than the words of their family and of a place."""
    for j, own in zip(match.columns, match.family.names, strict=True):
        name = names[j]
        words = name.words[:-1] if name.words[-1:] in (("n",), ("e",)) else name.words
        rest = [word for word in words if word not in own]
        if name.key not in own and (len(rest) == len(words) or not set(rest) <= PLACES):
            return True
    return False


def assign(manifold: Manifold, names: Sequence[Name], *, chosen: bool) -> Assignment:
    """The columns of each factor.

    ``chosen``: whether the columns were stated, so that all must be used and their order counts on
    R^d and T^d; otherwise those with names of the field are taken out of the table.
    **Raises:** ``DataError`` if numbers do not fit, names contradict each other or the space.
    """
    leaves = manifold.factors
    taken = _named(leaves, names, chosen)
    used = [j for match in taken.values() for j in match.columns]
    if len(set(used)) < len(used):
        raise _ambiguous(manifold.name, list(taken.values()), names)
    free = [j for j in range(len(names)) if j not in used]
    left = [i for i in range(len(leaves)) if i not in taken]
    again = [i for i in taken if sum(leaves[k].name == leaves[i].name for k in taken) > 1]
    if chosen and free and not left:
        raise _miscount(manifold, names)
    shares, notes = _share(manifold, leaves, left, free, names)
    if again:
        pairs = "; ".join(f"{leaves[i].name}: {_names(names, taken[i].columns)}" for i in again)
        notes.append(f"read by name, factor after factor: {pairs}")
    systems, columns = [], []
    for i, leaf in enumerate(leaves):
        if i in taken:
            family = taken[i].family
            system, places = family.system, taken[i].columns
            title = system_of(leaf, system).title
            if family.system in ("latlon", "colatlon") and _foreign(taken[i], names):
                notes.append(f"{_list(names, places)}: {title}, by a part of "
                             "the names")  # fmt: skip
            if family.note:
                notes.append(f"{_list(names, places)}: {title}, {family.note}")
        else:
            system, places, more = _within(leaf, shares[i], names, chosen)
            notes += more
        systems.append(system)
        columns.append(places)
    order = [j for own in columns for j in own]
    if len(order) == len(names):
        order.sort()  # as in the table; what is picked out of a wider one comes by its roles.
    return Assignment(tuple(systems), tuple(columns), tuple(order), tuple(notes))


def assign_like(first: Coordinates, names: Sequence[Name]) -> Assignment:
    """The columns of a second table, read as the first was: by the names of the first where the
    table has them, else by its own names where they are those of the field, else by position with
    a line that says so.

    **Raises:** ``DataError`` if some names agree and others do not.
    """
    wanted = [read_name(column) for column in first.columns]
    pairs = [_find(name, names) for name in wanted]
    notes = _same_measures(first, wanted, pairs, names) + _same_frame(first, wanted, names)
    systems = [part.system for part in first.parts]
    columns = [tuple(pairs[place] for place in part.places) for part in first.parts]
    try:
        own = _named([part.manifold for part in first.parts], names)
    except DataError:
        own = {}
    for i, part in enumerate(first.parts):
        if None in columns[i] and part.how.ordered and i in own:
            systems[i], columns[i] = own[i].family.system, own[i].columns
    known = [j for c in columns for j in c if j is not None]
    if not any(None in c for c in columns) and len(set(known)) == len(known):
        used = pairs if None not in pairs else sorted(known)
        return Assignment(tuple(systems), tuple(columns), tuple(used), notes)  # type: ignore[arg-type]
    if known:
        lost = [w.text for w, j in zip(wanted, pairs, strict=True) if j is None]
        raise DataError(
            f"the first table has columns {', '.join(first.columns)}; here {_quoted(lost)} "
            f"{'is' if len(lost) == 1 else 'are'} missing among {_names(names, range(len(names)))}."
            " Give both tables the same names."
        )
    if len(names) != len(wanted):
        raise DataError(
            f"the first table has {len(wanted)} columns ({', '.join(first.columns)}), this one "
            f"{len(names)} ({_names(names, range(len(names)))}): {_CHOOSE}."
        )
    _same_suffixes(wanted, names)
    same = tuple(part.system for part in first.parts)
    everything = tuple(range(len(names)))
    ranked = _ranked(first, wanted, names)
    how = "by position" if ranked is None else "by the order of their kind"
    order = everything if ranked is None else ranked
    shown = ", ".join(names[j].text[:40] for j in order[:8]) + (", …" if len(order) > 8 else "")
    note = f"columns {shown} read as {', '.join(first.columns)}, {how}: the names differ"
    # ``used`` is in the table's order: place k of the first table is column order[k] here.
    places = tuple(tuple(order[place] for place in part.places) for part in first.parts)
    return Assignment(same, places, everything, (*notes, note))


def _ranked(
    first: Coordinates, wanted: Sequence[Name], names: Sequence[Name]
) -> tuple[int, ...] | None:
    """For each column of the first table the column here that is the same in the order of names of
    one kind: psi1 and phi1 beside phi and psi, x and y beside easting and northing."""
    # One name of this table holds each name of the first as a word of its own.
    words = [re.findall(r"[^\W\d_]+", " ".join(name.words)) for name in names]
    holding = [[j for j, own in enumerate(words) if name.key in own] for name in wanted]
    if all(len(js) == 1 for js in holding):
        out = [js[0] for js in holding]
        if len(set(out)) == len(out):
            return tuple(out)
    leaf = first.parts[0].manifold
    if len(first.parts) != 1 or first.parts[0].how.ordered:
        return None
    orders = []
    for table in (wanted, names):
        found = next((m.columns for f in families(leaf) for m in matches(f, table)),
                     None)  # fmt: skip
        if found is None and _circles(leaf):
            found = torsions(table) or torsions_with_affixes(table)  # type: ignore[assignment]
        if found is None or len(found) != len(table):
            return None
        orders.append(found)
    out = [0] * len(names)
    for there, here in zip(*orders, strict=True):
        out[there] = here
    return tuple(out)


def _same_suffixes(wanted: Sequence[Name], names: Sequence[Name]) -> None:
    """**Raises:** ``DataError`` if names are alike but for units at their ends."""
    for name, other in itertools.product(wanted, names):
        (stem, unit), (its, another) = suffix_unit(name), suffix_unit(other)
        if stem == its and unit and another and unit != another:
            raise DataError(
                f"column {other.text!r} states another unit than {name.text!r} of the first "
                "table: write both in one unit."
            )


def _same_measures(
    first: Coordinates,
    wanted: Sequence[Name],
    pairs: Sequence[int | None],
    names: Sequence[Name],
) -> tuple[str, ...]:
    """A line for each column that states a unit in one table alone. Units of angles are converted
    where they are angles; all others must be the same."""
    notes = []
    for name, j, unit in zip(wanted, pairs, first.column_units, strict=True):
        if j is None:
            continue
        stated = [n.measure or (n.unit if unit == "none" else None) for n in (name, names[j])]
        if stated[0] == stated[1]:
            continue
        if stated[0] and stated[1]:
            raise DataError(
                f"column {names[j].text!r} states another unit than {name.text!r} of the first "
                "table: write both in one unit."
            )
        if unit == "none":
            notes.append(f"column {names[j].text!r} is taken to be in the unit of {name.text!r} "
                         "of the first table: only one of them states a unit")  # fmt: skip
    return tuple(notes)


def _same_frame(
    first: Coordinates, wanted: Sequence[Name], names: Sequence[Name]
) -> tuple[str, ...]:
    """A line if one table alone is in a frame of the sky.

    **Raises:** ``DataError`` if the two tables are in two frames of the sky.
    """
    if not any(part.system == "latlon" for part in first.parts):
        return ()
    found = [_best(manifold_from_name("S^2"), table, 1) for table in (wanted, names)]
    frames = [{m.family.frame for m in own} - {""} for own in found]
    if frames[0] and frames[1] and frames[0] != frames[1]:
        shown = [f"{next(iter(f))} ({_names(n, m[0].columns)})"
                 for f, n, m in zip(frames, (wanted, names), found, strict=True)]  # fmt: skip
        raise DataError(
            f"the first table is {shown[0]}, this one {shown[1]}: turn both into one frame."
        )
    if found[0] and found[1] and frames[0] != frames[1]:
        shown = [f"{next(iter(f), 'of no stated frame')} ({_names(n, m[0].columns)})"
                 for f, n, m in zip(frames, (wanted, names), found, strict=True)]  # fmt: skip
        return (f"the first table is {shown[0]}, this one {shown[1]}: taken to be in one frame",)
    return ()


# -- complete sets of names ------------------------------------------------------------------------
def _named(
    leaves: Sequence[Manifold], names: Sequence[Name], chosen: bool = False
) -> dict[int, Match]:
    """The columns of the factors for which there is a complete set of names."""
    taken: dict[int, Match] = {}
    for space in dict.fromkeys(leaf.name for leaf in leaves):
        own = [i for i, leaf in enumerate(leaves) if leaf.name == space]
        if not any(system.ordered for system in leaves[own[0]].systems):
            continue
        found = _best(leaves[own[0]], names, len(own))
        if len(found) > len(own):
            raise _ambiguous(space, found, names)
        # Two pairs for two spheres: by what tells their names apart, unless the order was stated.
        found.sort(key=lambda m: min(m.columns) if chosen else _place(m, names))  # type: ignore[return-value,arg-type]
        taken.update(zip(own, found, strict=False))
    return taken


def _best(leaf: Manifold, names: Sequence[Name], need: int, *, strong: bool = False) -> list[Match]:
    """The sets of columns that bear all names of a system of this space: plain names before names
    with a prefix, telling ones before single letters; no more classes than give ``need`` sets."""
    found: dict[tuple[int, ...], Match] = {}
    for family in families(leaf):
        if strong and family.weak:
            continue
        for match in matches(family, names):
            known = found.setdefault(tuple(sorted(match.columns)), match)
            if match.rank < known.rank and known.family.system == match.family.system:
                found[tuple(sorted(match.columns))] = match  # glat is galactic, not a latitude g.
    classes: dict[tuple[bool, int], list[Match]] = {}
    for own, match in found.items():
        if any(set(own) < set(other) for other in found):
            continue  # x, y beside t, x, y
        classes.setdefault((match.family.weak, match.rank), []).append(match)
    out: list[Match] = []
    for key in sorted(classes):
        if len(out) >= need:
            break
        seen = {j for match in out for j in match.columns}
        out += [match for match in classes[key] if not seen & set(match.columns)]
    for match in out:
        if match.family.refuse:
            raise DataError(f"{_list(names, match.columns)}: {match.family.refuse}.")
    return out


def _place(match: Match, names: Sequence[Name]) -> tuple[Any, ...]:
    """What the sets of columns of equal factors are sorted by."""
    return tuple(place_of(names[j].words) for j in match.columns)


# -- the rest --------------------------------------------------------------------------------------
def _share(
    manifold: Manifold,
    leaves: Sequence[Manifold],
    left: list[int],
    free: list[int],
    names: Sequence[Name],
) -> tuple[dict[int, list[int]], list[str]]:
    """The free columns of each factor that is left: what has to be, then by position."""
    if not left:
        return {}, []
    counts = [
        combination
        for combination in itertools.product(*(systems_of(leaves[i]) for i in left))
        if sum(combination) == len(free)
    ]
    if not counts:
        raise _miscount(manifold, names)
    if len(counts) > 1:
        listed = ", or ".join(
            " + ".join(f"{n} for {leaves[i].name}" for i, n in zip(left, c, strict=True))
            for c in counts
        )
        raise DataError(
            f"{len(free)} columns ({_names(names, free)}) on {manifold.name} can be {listed}: "
            "name them as their systems do (lat, lon; qw, qx, qy, qz …)."
        )
    width = dict(zip(left, counts[0], strict=True))
    if len(left) == 1:
        return {left[0]: free}, []
    angles = [
        j
        for j in free
        if (names[j].unit and not names[j].other_unit) or torsions([names[j]]) is not None
    ]
    circles = [i for i in left if _circles(leaves[i])]
    shares: dict[int, list[int]] = {}
    if len(circles) == 1 and len(angles) == width[circles[0]]:
        shares[circles[0]] = angles
        free = [j for j in free if j not in angles]
    rest = [i for i in left if i not in shares]
    for i in rest:
        shares[i], free = free[: width[i]], free[width[i] :]
    if len(rest) < 2:
        return shares, []
    listed = "; ".join(f"{leaves[i].name}: {_numbered(names, shares[i])}" for i in rest)
    return shares, [f"read by position, factor after factor: {listed}"]


def _within(
    leaf: Manifold, own: list[int], names: Sequence[Name], chosen: bool
) -> tuple[str, tuple[int, ...], list[str]]:
    """System and order of a factor's columns that are no complete set of names."""
    system = systems_of(leaf)[len(own)][0]
    how = system_of(leaf, system)
    if not how.ordered:
        return system, tuple(own if chosen else _natural(leaf, own, names)), []
    known = [f for f in families(leaf) if not f.refuse]
    for family in known:
        if len(family.names) == len(own):
            found = _eliminate(leaf, family, own, names)
            if found is not None:
                return family.system, *found
    for family in known:
        for j in own:
            stated = roles(family, names[j])
            if stated and not _both(leaf, names[j], len(own)):
                role = system_of(leaf, family.system).roles[stated[0]]
                raise DataError(
                    f"column {names[j].text!r} is called as {role}, but {len(own)} columns "
                    f"({_names(names, own)}) on {leaf.name} are the {how.title}: "
                    f"{_CHOOSE}."
                )
    titles = how.roles
    return system, tuple(own), [_by_position(titles, own, names)]


def _both(leaf: Manifold, name: Name, width: int) -> bool:
    """Whether a name that means another system also fits one of this number of columns."""
    return any(roles(family, name) for family in families(leaf) if len(family.names) == width)


def _natural(leaf: Manifold, own: list[int], names: Sequence[Name]) -> list[int]:
    """x before y, chi1 before chi2 where all names are of one family, else as in the table."""
    here = [names[j] for j in own]
    for family in families(leaf):
        for match in matches(family, here):
            return [own[j] for j in match.columns]
    order = (torsions(here) or torsions_with_affixes(here)) if _circles(leaf) else None
    return own if order is None else [own[j] for j in order]


def _eliminate(
    leaf: Manifold, family: Family, own: list[int], names: Sequence[Name]
) -> tuple[tuple[int, ...], list[str]] | None:
    """The order of columns of which some state their role, the others filling what is left."""
    stated: dict[int, int] = {}
    for j in own:
        found = roles(family, names[j])
        if len(found) == 1:
            if found[0] in stated:
                pair = (stated[found[0]], j)
                raise DataError(
                    f"{_list(names, pair)} have the same meaning: {_CHOOSE}, or say which is "
                    "which there, as lat=A,lon=B."
                )
            stated[found[0]] = j
    if not stated:
        return None
    if len(stated) == len(own):
        return tuple(stated[r] for r in range(len(own))), []
    rest = iter([j for j in own if j not in stated.values()])
    missing = [role for role in range(len(own)) if role not in stated]
    places = tuple(stated[r] if r in stated else next(rest) for r in range(len(own)))
    titles = [system_of(leaf, family.system).roles[r] for r in missing] if (
        family.system in ("latlon", "colatlon")
    ) else [family.names[r][0] for r in missing]  # fmt: skip
    known = ", ".join(repr(names[j].text) for j in stated.values())
    line = "; ".join(
        f"{title}: column {places[r] + 1}, {names[places[r]].text!r}"
        for title, r in zip(titles, missing, strict=True)
    )
    return places, [f"read as {line} (left over beside {known})"]


def _circles(leaf: Manifold) -> bool:
    """Whether all columns of it are angles, in any order."""
    return all(s.angles and all(s.angles) and not s.ordered for s in leaf.systems)


def systems_of(leaf: Manifold) -> dict[int, list[str]]:
    """For each number of columns the systems that take it, the one read by position first."""
    found: dict[int, list[str]] = {}
    for system in sorted(leaf.systems, key=lambda system: -len(system.roles)):
        found.setdefault(len(system.roles), []).append(system.name)
    return found


# -- words -----------------------------------------------------------------------------------------
def _by_position(titles: Sequence[str], own: Sequence[int], names: Sequence[Name]) -> str:
    if len(own) > 4:
        line = (
            f"{titles[0]} … {titles[-1]}: columns {own[0] + 1} … {own[-1] + 1}, "
            f"{names[own[0]].text!r} … {names[own[-1]].text!r}"
        )
    else:
        line = "; ".join(
            f"{title}: column {j + 1}, {names[j].text!r}"
            for title, j in zip(titles, own, strict=True)
        )
    more = ""
    if titles[0] == "latitude" and any("theta" in names[j].key for j in own):
        more = "; if theta counts from the pole, choose columns colatitude=theta,longitude=phi"
    return f"read as {line} (by position: the names do not say{more})"


def _miscount(manifold: Manifold, names: Sequence[Name]) -> DataError:
    choices = []
    for leaf in manifold.factors:
        each = [f"{n} ({_short(systems[0])})" for n, systems in sorted(systems_of(leaf).items())]
        choices.append(", or ".join(each))
    if len(choices) > 1:
        listed = "; ".join(
            f"{leaf.name} {choice}" for leaf, choice in zip(manifold.factors, choices, strict=True)
        )
    else:
        listed = choices[0]
    k = len(names)
    return DataError(
        f"{k} column{'s' * (k != 1)} ({_names(names, range(k))}) cannot be points of "
        f"{manifold.name}: it takes {listed}. Choose them with columns= (--columns)."
    )


def _short(system: str) -> str:
    return {"vector": "unit vector", "flat": "numbers"}.get(system, system)


def _ambiguous(space: str, found: list[Match], names: Sequence[Name]) -> DataError:
    listed = "; or ".join(_names(names, match.columns) for match in found[:4])
    return DataError(f"several columns could be points of {space}: {listed}. {_CHOOSE[:1].upper()}"
                     f"{_CHOOSE[1:]}.")  # fmt: skip


def _names(names: Sequence[Name], columns: Sequence[int]) -> str:
    listed = ", ".join(names[j].text[:40] for j in list(columns)[:8])
    return listed + (f", … ({len(columns)} in all)" if len(columns) > 8 else "")


def _list(names: Sequence[Name], columns: Sequence[int]) -> str:
    return f"column{'s' * (len(columns) > 1)} {_names(names, columns)}"


def _numbered(names: Sequence[Name], columns: Sequence[int]) -> str:
    if len(columns) > 4:
        return _names(names, columns)
    return ", ".join(f"column {j + 1}, {names[j].text!r}" for j in columns)


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(repr(word) for word in words)


def _find(wanted: Name, names: Sequence[Name]) -> int | None:
    """The column of that name: to the letter, or but for capitals, signs and the unit."""
    for same in (lambda n: n.text == wanted.text, lambda n: n.key == wanted.key):
        found = [j for j, name in enumerate(names) if same(name)]
        if len(found) == 1:
            return found[0]
    return None
