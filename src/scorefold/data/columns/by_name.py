"""Factors whose columns bear a complete set of the usual names."""

from collections.abc import Sequence

from scorefold.data._errors import DataError
from scorefold.data.columns.coordinates import system_of
from scorefold.data.columns.families import PLACES, Match, families, matches, place_of
from scorefold.data.columns.names import Name, column_list, listed
from scorefold.manifolds import Manifold, manifold_from_name


def is_latlon(names: Sequence[Name]) -> bool:
    """Whether one pair of columns is called latitude and longitude (or declination and right
    ascension), of a place: enough to know that the points lie on S². ``pmra``, ``delta_lat`` and
    ``lat_index`` are other things."""
    sphere = manifold_from_name("S^2")
    found = best_matches(sphere, names, 1, strong=True)
    if len(found) != 1 or system_of(sphere, found[0].family.system).unit is None:
        return False
    return not foreign(found[0], names)


def foreign(match: Match, names: Sequence[Name]) -> bool:
    """Whether the names hold more than the words of their family and of a place."""
    for j, own in zip(match.columns, match.family.names, strict=True):
        name = names[j]
        words = name.words[:-1] if name.words[-1:] in (("n",), ("e",)) else name.words
        rest = [word for word in words if word not in own]
        if name.key not in own and (len(rest) == len(words) or not set(rest) <= PLACES):
            return True
    return False


def named(
    leaves: Sequence[Manifold], names: Sequence[Name], chosen: bool = False
) -> dict[int, Match]:
    """The columns of the factors for which there is a complete set of names."""
    taken: dict[int, Match] = {}
    for space in dict.fromkeys(leaf.name for leaf in leaves):
        own = [i for i, leaf in enumerate(leaves) if leaf.name == space]
        if not any(system.ordered for system in leaves[own[0]].systems):
            continue
        found = best_matches(leaves[own[0]], names, len(own))
        if len(found) > len(own):
            raise ambiguous(space, found, names)
        # Two pairs for two spheres: by what tells their names apart, unless the order was stated.
        if chosen:
            found.sort(key=lambda match: min(match.columns))
        else:
            found.sort(key=lambda match: [place_of(names[j].words) for j in match.columns])
        taken.update(zip(own, found, strict=False))
    return taken


def best_matches(
    leaf: Manifold, names: Sequence[Name], need: int, *, strong: bool = False
) -> list[Match]:
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
        used = {j for match in out for j in match.columns}
        out += [match for match in classes[key] if not used & set(match.columns)]
    for match in out:
        if match.family.refuse:
            raise DataError(f"{column_list(names, match.columns)}: {match.family.refuse}.")
    return out


def ambiguous(space: str, found: Sequence[Match], names: Sequence[Name]) -> DataError:
    sets = "; or ".join(listed(names, match.columns) for match in found[:4])
    return DataError(
        f"several columns could be points of {space}: {sets}. Choose by columns= (--columns)."
    )
