"""Columns without a complete set of names: which factor gets them, and in which order."""

import itertools
from collections.abc import Sequence

from scorefold.data._errors import DataError
from scorefold.data.columns.coordinates import system_of
from scorefold.data.columns.families import Family, families, is_torsion, matches, roles, torsions
from scorefold.data.columns.names import CHOOSE, Name, column_list, listed
from scorefold.manifolds import Manifold

_SHORT = {"vector": "unit vector", "flat": "numbers"}


def share(
    manifold: Manifold, left: Sequence[int], free: list[int], names: Sequence[Name]
) -> tuple[dict[int, list[int]], list[str]]:
    """The free columns of each factor that is left: what has to be, then by position; and a line
    where position decided."""
    leaves = manifold.factors
    if not left:
        return {}, []
    counts = [
        combination
        for combination in itertools.product(*(_systems_of(leaves[i]) for i in left))
        if sum(combination) == len(free)
    ]
    if not counts:
        raise miscount(manifold, names)
    if len(counts) > 1:
        ways = ", or ".join(
            " + ".join(f"{n} for {leaves[i].name}" for i, n in zip(left, c, strict=True))
            for c in counts
        )
        raise DataError(
            f"{len(free)} columns ({listed(names, free)}) on {manifold.name} can be {ways}: "
            "name them as their systems do (lat, lon; qw, qx, qy, qz …)."
        )
    width = dict(zip(left, counts[0], strict=True))
    if len(left) == 1:
        return {left[0]: free}, []
    angles = [j for j in free
              if (names[j].unit and not names[j].other_unit) or is_torsion(names[j])]  # fmt: skip
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
    order = "; ".join(f"{leaves[i].name}: {_numbered(names, shares[i])}" for i in rest)
    return shares, [f"read by position, factor after factor: {order}"]


def within(
    leaf: Manifold, own: list[int], names: Sequence[Name], chosen: bool
) -> tuple[str, tuple[int, ...], list[str]]:
    """System and order of a factor's columns that are no complete set of names."""
    system = _systems_of(leaf)[len(own)][0]
    how = system_of(leaf, system)
    if not how.ordered:
        order = None if chosen else natural_order(leaf, [names[j] for j in own])
        return system, tuple(own if order is None else [own[j] for j in order]), []
    known = [f for f in families(leaf) if not f.refuse]
    for family in known:
        if len(family.names) == len(own):
            found = _eliminate(leaf, family, own, names)
            if found is not None:
                return family.system, *found
    for family in known:
        for j in own:
            stated = roles(family, names[j])
            fits = any(roles(f, names[j]) for f in families(leaf) if len(f.names) == len(own))
            if stated and not fits:
                role = system_of(leaf, family.system).roles[stated[0]]
                raise DataError(
                    f"column {names[j].text!r} is called as {role}, but {len(own)} columns "
                    f"({listed(names, own)}) on {leaf.name} are the {how.title}: {CHOOSE}."
                )
    return system, tuple(own), [_by_position(how.roles, own, names)]


def natural_order(leaf: Manifold, names: Sequence[Name]) -> Sequence[int] | None:
    """x before y, chi1 before chi2 where all names are of one kind, else ``None``."""
    for family in families(leaf):
        for match in matches(family, names):
            return match.columns
    return torsions(names) if _circles(leaf) else None


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
                    f"{column_list(names, pair)} have the same meaning: {CHOOSE}, or say which is "
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
    titles = [words[0] for words in family.names]
    if family.system in ("latlon", "colatlon"):
        titles = list(system_of(leaf, family.system).roles)
    known = ", ".join(repr(names[j].text) for j in stated.values())
    line = "; ".join(
        f"{titles[r]}: column {places[r] + 1}, {names[places[r]].text!r}" for r in missing
    )
    return places, [f"read as {line} (left over beside {known})"]


def _circles(leaf: Manifold) -> bool:
    """Whether all columns of it are angles, in any order."""
    return all(s.angles and all(s.angles) and not s.ordered for s in leaf.systems)


def _systems_of(leaf: Manifold) -> dict[int, list[str]]:
    """For each number of columns the systems that take it, the one read by position first."""
    found: dict[int, list[str]] = {}
    for system in sorted(leaf.systems, key=lambda system: -len(system.roles)):
        found.setdefault(len(system.roles), []).append(system.name)
    return found


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


def miscount(manifold: Manifold, names: Sequence[Name]) -> DataError:
    choices = []
    for leaf in manifold.factors:
        each = [f"{n} ({_SHORT.get(systems[0], systems[0])})"
                for n, systems in sorted(_systems_of(leaf).items())]  # fmt: skip
        choices.append(", or ".join(each))
    if len(choices) > 1:
        named = zip(manifold.factors, choices, strict=True)
        choices = [f"{leaf.name} {choice}" for leaf, choice in named]
    k = len(names)
    return DataError(
        f"{k} column{'s' * (k != 1)} ({listed(names)}) cannot be points of {manifold.name}: it "
        f"takes {'; '.join(choices)}. Choose them with columns= (--columns)."
    )


def _numbered(names: Sequence[Name], columns: Sequence[int]) -> str:
    if len(columns) > 4:
        return listed(names, columns)
    return ", ".join(f"column {j + 1}, {names[j].text!r}" for j in columns)
