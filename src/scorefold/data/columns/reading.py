"""What a table says about itself: which columns, in which units, around which origin."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scorefold.data._errors import DataError
from scorefold.data.columns.coordinates import Coordinates, Part, system_of
from scorefold.data.columns.names import DEGREES, Name, read_name
from scorefold.data.columns.roles import Assignment
from scorefold.manifolds import Manifold

if TYPE_CHECKING:
    import pandas as pd

_ORIENTED = {"n", "e", "north", "east", "wgs84", "j2000", "icrs", "decimal", "epsg:4326"}
_MINUTES = [(word,) for word in ("min", "mins", "minute", "minutes")]
_FAR = 100.0
"""Quartile distances from 0 beyond which a flat column is centred."""


def choices(stated: str | Sequence[str], table: Sequence[str]) -> list[Name]:
    """The columns of ``"lat,lon"``, ``["lat", "lon"]`` or ``"lat=north,lon=east"``: a column may be
    given another name, which then decides as if it stood in the table; ``text`` stays its own."""
    if isinstance(stated, str):
        stated = [c.strip() for c in next(csv.reader([stated], skipinitialspace=True), [])]
    out = []
    for text in map(str, stated):
        called, equals, column = text.partition("=")
        if equals and text not in table:
            out.append(replace(read_name(called.strip()), text=column.strip()))
        else:
            out.append(read_name(text))
    return out


def coordinates_for(
    manifold: Manifold,
    names: Sequence[Name],
    found: Assignment,
    values: np.ndarray,
    degrees: bool | None,
    *,
    like: Coordinates | None = None,
    centred: bool = False,
) -> Coordinates:
    """The coordinates of ``values``, the columns ``found.used`` of a table called ``names``.

    Units of angles: those that the name states, else ``degrees``, else those of ``like``, else
    degrees for latitude and longitude. ``centred``: flat columns far from 0 get an origin (that of
    ``like`` if there is one).
    **Raises:** ``DataError`` if a unit is stated twice and differently, or not at all.
    """
    place = {j: i for i, j in enumerate(found.used)}
    parts = []
    for i, leaf in enumerate(manifold.factors):
        how, columns = system_of(leaf, found.systems[i]), found.columns[i]
        first = None if like is None else like.parts[i]
        if first is not None and first.system != found.systems[i]:
            first = None
        if found.systems[i] in ("latlon", "colatlon"):
            for j in columns:
                if names[j].backward:
                    raise _backward(names[j], names[j].backward)
        if found.systems[i] == "latlon":
            _refuse_suffixes(*(names[j] for j in columns))
        places = tuple(place[j] for j in columns)
        own = values[:, list(places)]
        default = [how.unit] * len(columns) if first is None else first.units
        angles = how.angles or [False] * len(columns)
        units = tuple(
            _unit(leaf, names[j], column, degrees, usual) if angle else "none"
            for j, column, angle, usual in zip(columns, own.T, angles, default, strict=True)
        )
        turns = tuple(
            how.wraps and unit != "none" and _turns(column, unit)
            for column, unit in zip(own.T, units, strict=True)
        )
        origin = (0.0,) * len(columns)
        if found.systems[i] == "flat":
            if first is not None:
                origin = first.origin
            elif centred:
                origin = tuple(map(_origin, own.T))
        parts.append(Part(leaf, found.systems[i], places, units, turns, origin))
    return Coordinates(manifold, tuple(names[j].text for j in found.used), tuple(parts))


def remarks(c: Coordinates, values: np.ndarray) -> tuple[str, ...]:
    """What looks odd in the angles, in words: ranges that suit another unit, two conventions."""
    out = []
    for unit, other in (("radians", "degrees"), ("degrees", "radians")):
        angles = [
            p for part in c.parts for p, u in zip(part.places, part.units, strict=True) if u == unit
        ]
        if not angles:
            continue
        peak = float(np.abs(values[:, angles]).max())
        if peak > 4 * np.pi if unit == "radians" else peak <= 2 * np.pi:
            out.append(f"Angles reach {peak:.6g} {unit}: if they are {other}, say --{other}.")
    for part in c.parts:
        out += _not_bunge(c, part, values)
        for place, unit in zip(part.places, part.units, strict=True):
            if unit == "none" or not part.how.wraps:
                continue
            name, own = read_name(c.columns[place]), values[:, place]
            low, high, half = own.min(), own.max(), 180.0 / DEGREES[unit]
            column = f"column {name.text!r}"
            if name.measure is not None and name.unit is None and name.measure not in _ORIENTED:
                out.append(f"{column}: {name.measure!r} is not known as a unit, read as {unit}")
            ascension = name.unit is None and name.key in ("ra", "raj2000", "rightascension")
            if ascension and unit == "degrees" and low >= 0 and 12 < high <= 24:
                out.append(
                    f"{column} runs from {low:.4g} to {high:.4g} and is read in degrees: if these "
                    f"are hours, call it '{name.text} (hours)'"
                )
            if low < 0 and len(np.unique(own[own > half * (1 + 1e-9)])) > 1:
                out.append(
                    f"{column} runs from {low:.6g} to {high:.6g} {unit}: {-half:g} … {half:g} and "
                    f"0 … {2 * half:g} are mixed, both are read"
                )
    return tuple(out)


def _not_bunge(c: Coordinates, part: Part, values: np.ndarray) -> list[str]:
    """The middle one of Bunge's angles lies between 0 and half a turn."""
    if part.system != "euler":
        return []
    place, half = part.places[1], 180.0 / DEGREES[part.units[1]]
    low, high = float(values[:, place].min()), float(values[:, place].max())
    if low >= 0.0 and high <= half * (1.0 + 1e-9):
        return []
    return [
        f"column {c.columns[place]!r} runs from {low:.4g} to {high:.4g} {part.units[1]}, and "
        f"Bunge's Φ from 0 to {half:.4g}: columns of these names are read as Bunge Euler angles "
        "(ZXZ); if they are angles about other axes, name them so (roll, pitch, yaw; rot, tilt, "
        "psi) or give quaternions"
    ]


def _unit(
    leaf: Manifold, name: Name, values: np.ndarray, degrees: bool | None, default: str | None
) -> str:
    if name.other_unit:
        raise DataError(
            f"column {name.text!r} states {name.other_unit!r}, which is no unit of angle that is "
            f"read: write it in one of {', '.join(DEGREES)}."
        )
    stated = {None: None, True: "degrees", False: "radians"}[degrees]
    if stated is not None and name.unit not in (None, stated):
        raise DataError(
            f"column {name.text!r} states {name.unit}, degrees={degrees} (--{stated}) says "
            f"{stated}: leave one out."
        )
    unit = name.unit or stated or default
    if unit is not None:
        return unit
    peak = np.abs(values).max(initial=0.0)
    looks = "look like degrees" if peak > 2 * np.pi else "could be either"
    raise DataError(
        f"Angles on {leaf.name}: state degrees=True or degrees=False "
        f"(--degrees / --radians); the values of {name.text!r} reach {peak:.6g} and {looks}."
    )


def refuse_minutes(names: Sequence[Name], table: Sequence[Name], latlon: bool = False) -> None:
    """**Raises:** ``DataError`` if a column of degrees or hours has its minutes in another column,
    or is that column. ``latlon``: the columns are latitude and longitude, where no unit need be
    stated for that."""
    keys = {name.key: name for name in table}
    for name in names:
        # As RAh, RAm, RAs and DEd, DEm, DEs in catalogues of stars.
        stem, letter = name.key[:-1], name.key[-1:]
        others = [stem + other for other in "hdms" if other != letter and stem + other in keys]
        if latlon and stem and letter in "hdms" and others:
            raise DataError(
                f"columns {name.text!r} and {keys[others[0]].text!r}: parts of one angle, in "
                "degrees or hours, minutes and seconds? Add them up in one column first."
            )
        parts = [other for other in table if other.words[:-1] == name.words
                 and other.words[-1:] in _MINUTES]  # fmt: skip
        most = any((*name.words, word) in [o.words for o in table] for word in ("max", "mean"))
        whole = name.unit == "degrees" or (latlon and name.unit is None)
        if parts and not most and whole:
            raise DataError(
                f"columns {name.text!r} and {parts[0].text!r}: degrees and minutes of one angle? "
                "Add them up in one column (degrees + minutes/60) first."
            )


def refuse_directions(
    columns: Sequence[tuple[str, np.ndarray]], texts: Mapping[str, pd.Series]
) -> None:
    """**Raises:** ``DataError`` if a column of text beside latitudes (longitudes) that are never
    negative says that some are southern (western). ``columns``: the two, with their names;
    ``texts``: the entries of all other columns of text."""
    letters = [({"n", "north"}, {"s", "south"}), ({"e", "east"}, {"w", "west"})]
    for (name, values), (plus, minus) in zip(columns, letters, strict=True):
        for column, entries in texts.items():
            said = {str(word).strip().casefold() for word in set(entries)} - {"", "nan", "none"}
            if said and said <= plus | minus and said & minus and values.min() >= 0:
                raise DataError(
                    f"column {column!r} says {', '.join(sorted(said))} beside {name!r}, which is "
                    "never negative: give numbers in the south and in the west a minus sign first."
                )


def _refuse_suffixes(latitude: Name, longitude: Name) -> None:
    """**Raises:** ``DataError`` where names end in a letter for the west or the south."""
    ends = [re.search(r"(?:lat(?:itude)?|lon(?:g(?:itude)?)?|lng)(n|s|e|w)$", name.key)
            for name in (latitude, longitude)]  # fmt: skip
    first, last = ("" if end is None else end[1] for end in ends)
    if last == "w" and first != "w":
        raise _backward(longitude, "westward")
    if first == "s" and last in ("e", "w"):
        raise _backward(latitude, "southward")


def _backward(name: Name, way: str) -> DataError:
    return DataError(f"column {name.text!r} counts {way}: change its sign, or its name, first.")


def _turns(values: np.ndarray, unit: str) -> bool:
    """Whether angles are written in [0, 360) rather than (−180, 180]."""
    return bool(
        len(values) and values.min() >= 0 and values.max() > 180.0 / DEGREES[unit] * (1 + 1e-12)
    )


def _origin(column: np.ndarray) -> float:
    """What to subtract from a flat column: a round number near the median, if that is more than a
    hundred quartile distances from 0, or if float32 would lose differences that it could keep
    around the median; otherwise 0."""
    low, middle, high = np.quantile(column, (0.25, 0.5, 0.75))
    spread = high - low or float(np.std(column))
    if not (np.isfinite(spread) and spread > 0 and abs(middle) > 4 * spread):
        return 0.0
    if abs(middle) <= _FAR * spread:
        with np.errstate(over="ignore"):
            single = column.astype(np.float32)
        if len(np.unique(single)) == len(np.unique(column)):
            return 0.0
    step = 2.0 ** np.floor(np.log2(spread))
    return float(np.round(middle / step) * step)
