"""Which column is which: by name where names are those of the field, by position otherwise."""

from collections.abc import Sequence
from typing import NamedTuple

from scorefold.data.columns.by_name import ambiguous, foreign, named
from scorefold.data.columns.by_position import miscount, share, within
from scorefold.data.columns.coordinates import system_of
from scorefold.data.columns.names import Name, column_list, listed
from scorefold.manifolds import Manifold


class Assignment(NamedTuple):
    """For each factor its system and the column numbers in the order of the system's roles; all
    column numbers, in the order in which values come and go; in words what was taken for
    granted."""

    systems: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    used: tuple[int, ...]
    notes: tuple[str, ...] = ()


def assign(manifold: Manifold, names: Sequence[Name], *, chosen: bool) -> Assignment:
    """The columns of each factor.

    ``chosen``: whether the columns were stated, so that all must be used and their order counts on
    R^d and T^d; otherwise those with names of the field are taken out of the table.
    **Raises:** ``DataError`` if numbers do not fit, names contradict each other or the space.
    """
    leaves = manifold.factors
    taken = named(leaves, names, chosen)
    used = [j for match in taken.values() for j in match.columns]
    if len(set(used)) < len(used):
        raise ambiguous(manifold.name, list(taken.values()), names)
    free = [j for j in range(len(names)) if j not in used]
    left = [i for i in range(len(leaves)) if i not in taken]
    again = [i for i in taken if sum(leaves[k].name == leaves[i].name for k in taken) > 1]
    if chosen and free and not left:
        raise miscount(manifold, names)
    shares, notes = share(manifold, left, free, names)
    if again:
        pairs = "; ".join(f"{leaves[i].name}: {listed(names, taken[i].columns)}" for i in again)
        notes.append(f"read by name, factor after factor: {pairs}")
    systems, columns = [], []
    for i, leaf in enumerate(leaves):
        if i in taken:
            family, places = taken[i].family, taken[i].columns
            system = family.system
            read = f"{column_list(names, places)}: {system_of(leaf, system).title}"
            if system in ("latlon", "colatlon") and foreign(taken[i], names):
                notes.append(f"{read}, by a part of the names")
            if family.note:
                notes.append(f"{read}, {family.note}")
        else:
            system, places, more = within(leaf, shares[i], names, chosen)
            notes += more
        systems.append(system)
        columns.append(places)
    order = [j for own in columns for j in own]
    if len(order) == len(names):
        order.sort()  # as in the table; what is picked out of a wider one comes by its roles.
    return Assignment(tuple(systems), tuple(columns), tuple(order), tuple(notes))
