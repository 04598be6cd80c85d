"""Which column of a second table is which, read as a first one was."""

import itertools
import re
from collections.abc import Sequence

from scorefold.data._errors import DataError
from scorefold.data.columns.by_name import best_matches, named
from scorefold.data.columns.by_position import natural_order
from scorefold.data.columns.coordinates import Coordinates
from scorefold.data.columns.names import CHOOSE, Name, listed, read_name, suffix_unit
from scorefold.data.columns.roles import Assignment
from scorefold.manifolds import manifold_from_name


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
        own = named([part.manifold for part in first.parts], names)
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
            f"the first table has columns {', '.join(first.columns)}; here "
            f"{', '.join(map(repr, lost))} {'is' if len(lost) == 1 else 'are'} missing among "
            f"{listed(names)}. Give both tables the same names."
        )
    if len(names) != len(wanted):
        raise DataError(
            f"the first table has {len(wanted)} columns ({', '.join(first.columns)}), this one "
            f"{len(names)} ({listed(names)}): {CHOOSE}."
        )
    for name, other in itertools.product(wanted, names):
        (stem, unit), (its, another) = suffix_unit(name), suffix_unit(other)
        if stem == its and unit and another and unit != another:
            raise _two_units(name, other)
    everything = tuple(range(len(names)))
    ranked = _ranked(first, wanted, names)
    how = "by position" if ranked is None else "by the order of their kind"
    order = everything if ranked is None else ranked
    shown = ", ".join(names[j].text[:40] for j in order[:8]) + (", …" if len(order) > 8 else "")
    note = f"columns {shown} read as {', '.join(first.columns)}, {how}: the names differ"
    # ``used`` is in the table's order: place k of the first table is column order[k] here.
    places = tuple(tuple(order[place] for place in part.places) for part in first.parts)
    return Assignment(tuple(systems), places, everything, (*notes, note))


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
    theirs, ours = (natural_order(leaf, table) for table in (wanted, names))
    if theirs is None or ours is None or not len(theirs) == len(ours) == len(names):
        return None
    return tuple(here for _, here in sorted(zip(theirs, ours, strict=True)))


def _two_units(name: Name, other: Name) -> DataError:
    return DataError(
        f"column {other.text!r} states another unit than {name.text!r} of the first table: write "
        "both in one unit."
    )


def _same_measures(
    first: Coordinates, wanted: Sequence[Name], pairs: Sequence[int | None], names: Sequence[Name]
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
            raise _two_units(name, names[j])
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
    found = [best_matches(manifold_from_name("S^2"), table, 1) for table in (wanted, names)]
    frames = [{m.family.frame for m in own} - {""} for own in found]
    if not found[0] or not found[1] or frames[0] == frames[1]:
        return ()
    shown = [f"{next(iter(f), 'of no stated frame')} ({listed(n, m[0].columns)})"
             for f, n, m in zip(frames, (wanted, names), found, strict=True)]  # fmt: skip
    two = f"the first table is {shown[0]}, this one {shown[1]}"
    if frames[0] and frames[1]:
        raise DataError(f"{two}: turn both into one frame.")
    return (f"{two}: taken to be in one frame",)


def _find(wanted: Name, names: Sequence[Name]) -> int | None:
    """The column of that name: to the letter, or but for capitals, signs and the unit."""
    for same in (lambda n: n.text == wanted.text, lambda n: n.key == wanted.key):
        found = [j for j, name in enumerate(names) if same(name)]
        if len(found) == 1:
            return found[0]
    return None
