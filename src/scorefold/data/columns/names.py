"""What columns are called: the usual names of the fields, the roles and the units they state."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from scorefold._systems import System
from scorefold.manifolds import Manifold

__all__ = [
    "DEGREES",
    "PLACES",
    "Family",
    "Match",
    "Name",
    "families",
    "matches",
    "place_of",
    "read_name",
    "roles",
    "suffix_unit",
    "torsions",
    "torsions_with_affixes",
]

DEGREES = {
    "degrees": 1.0,
    "radians": 57.29577951308232,
    "hours": 15.0,
    "turns": 360.0,
    "arcminutes": 1 / 60,
    "arcseconds": 1 / 3600,
}
"""Degrees in one unit of angle."""

_UNIT_WORDS = {
    "degrees": "deg degs degree degrees dd",
    "radians": "rad rads radian radians",
    "hours": "hour hours hr hrs hourangle",
    "turns": "turn turns revolutions",
    "arcminutes": "arcmin arcmins arcminute arcminutes amin",
    "arcseconds": "arcsec arcsecs arcsecond arcseconds asec",
}
_UNITS = {word: unit for unit, words in _UNIT_WORDS.items() for word in words.split()}
_OTHER_UNIT_WORDS = (
    "gon gons grad grads gradian gradians mrad mrads milliradian milliradians urad mas uas mil mils"
    " hh mm dms hm m km cm ft mi mile miles nm celsius fahrenheit kelvin degc degf degk"
)
_OTHER_UNITS = set(_OTHER_UNIT_WORDS.split())
"""Words that are units, but not of an angle that is read here."""
_SUFFIX_WORDS = (
    "um nm inch inches in yd s sec secs second seconds ms us ns min mins minute minutes h hr hrs "
    "hour hours d day days week weeks month months yr yrs year years k c f hpa kpa mpa pa bar mbar "
    "atm psi kg g mg ug lb lbs t v mv kv a ma w kw mw ev kev mev j kj hz khz mhz ghz l ml pct "
    "percent ppm ppb deg degs degrees rad rads radians"
)
_SUFFIXES = _OTHER_UNITS | set(_SUFFIX_WORDS.split())
"""Words at the end of two names that differ in nothing else."""
_BACKWARD = {
    **dict.fromkeys(("w", "west", "ouest", "oeste"), "westward"),
    **dict.fromkeys(("s", "south", "sud", "sur"), "southward"),
    "o": "eastward in German and westward in French, Spanish and Italian",
}
_TEMPERATURE = re.compile(
    r"(?:°|(?<![^\W_])deg(?:rees?)?[ _.]*)\s*([CFK])(?![^\W_])", re.IGNORECASE
)
_BESIDE_UNITS = {"in", "n", "s", "e", "north", "south", "east", "decimal"}
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta",
    "θ": "theta", "λ": "lambda", "ν": "nu", "φ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega",
}  # fmt: skip
_UNCERTAIN = re.compile(
    r"^e\W|(^|\W)(err|error|errors|std|stdev|stddev|sigma|sd|se|unc|uncertainty|rms|rmse|var|cov|"
    r"corr|accuracy|precision|pm)(\W|$)"
)


@dataclass(frozen=True)
class Name:
    """The name of one column: as written, in words, the unit of angle that it states, and a
    unit of another kind (``km``), or ``None``.

    ``Longitude (deg)``, ``decimalLongitude``, ``station_lon`` and ``λ / °`` are read alike: small
    letters, words cut at blanks, signs and capitals, units in brackets or at the end.
    """

    text: str
    words: tuple[str, ...]
    unit: str | None = None
    measure: str | None = None

    @property
    def key(self) -> str:
        """The words without gaps."""
        return "".join(self.words)

    @property
    def backward(self) -> str:
        """``"westward"`` or ``"southward"`` where an angle on the Earth is said to count so, else
        empty."""
        beside = [_BACKWARD[w] for w in _words(self.measure or "") if w in _BACKWARD]
        said = [_BACKWARD[w] for w in self.words if w in ("west", "south")]
        return next(iter([*beside, *said]), "")

    @property
    def other_unit(self) -> str:
        """The unit that it states, if it is known to be no unit of angle that is read here."""
        words = _words(self.measure or "")
        return next((self.measure or "" for word in words if word in _OTHER_UNITS), "")

    @property
    def quantity(self) -> bool:
        """Whether it names the thing itself rather than its error."""
        return _UNCERTAIN.search(" ".join(self.words)) is None


def read_name(text: str) -> Name:
    """The words and the unit of a column's name."""
    plain = re.sub("[º˚]", "°", text)
    plain = _TEMPERATURE.sub(lambda found: f" (deg{found[1].casefold()}) ", plain).strip()
    plain = re.sub(r"[(\[{]\s*(\(deg[cfk]\))\s*[)\]}]", r"\1", plain)
    plain = unicodedata.normalize("NFKC", plain).replace("°", " deg ")
    plain = re.sub(r"[ʰ]", " hours ", plain)
    for letter, name in _GREEK.items():
        plain = plain.replace(letter, name).replace(letter.upper(), name.capitalize())
    plain, measure, unit = _bracket(plain)
    words = _words(plain)
    if unit is None:
        if len(words) > 2 and words[-1] in _BACKWARD and words[-2] in _UNITS:
            measure = words.pop()
        words, unit = _trailing_unit(words)
    if (
        unit is None
        and measure is None
        and len(words) > 1
        and words[-1] in _OTHER_UNITS - {"m", "nm"}
    ):
        words, measure = words[:-1], words[-1]
    return Name(text, tuple(words), unit, measure)


def suffix_unit(name: Name) -> tuple[tuple[str, ...], str]:
    """The words of a name without a unit at their end, and that unit, empty without one: of names
    that are compared with each other, where x_m beside x_km is a length."""
    if name.measure or name.unit:
        return name.words, name.measure or name.unit or ""
    if len(name.words) > 1 and name.words[-1] in _SUFFIXES:
        return name.words[:-1], name.words[-1]
    return name.words, ""


def _bracket(text: str) -> tuple[str, str | None, str | None]:
    """The text before a unit in brackets, that unit, and the unit of angle it means."""
    found = re.fullmatch(r"(.*\S)\s*[\[({<]\s*([^\[\](){}<>]*?)\s*[\])}>]\s*", text, re.DOTALL)
    if found is None:
        return text, None, None
    inside = _words(found[2])
    units = [_UNITS[word] for word in inside if word in _UNITS]
    if inside in (["h"], ["hms"]):
        units = ["hours"]
    if inside == ["as"]:
        units = ["arcseconds"]
    if units:
        return found[1], found[2].casefold() if set(inside) & set(_BACKWARD) else None, units[0]
    if not inside or all(word.isdigit() for word in inside):
        return text, None, None  # An index, as in R[0, 0].
    return found[1], found[2].casefold(), None


def _words(text: str) -> list[str]:
    cut = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return [word for word in re.split(r"[^\w]|_", cut.casefold()) if word]


def _trailing_unit(words: list[str]) -> tuple[list[str], str | None]:
    left = list(words)
    while len(left) > 1 and left[-1] in _BESIDE_UNITS and any(w in _UNITS for w in left):
        left.pop()
    if len(left) > 1 and left[-1] in _UNITS:
        unit = _UNITS[left.pop()]
        while len(left) > 1 and left[-1] in ("in", "decimal"):
            left.pop()
        return left, unit
    if len(left) > 1 and left[-1] == "h" and left[-2] in ("ra", "ascension"):
        return left[:-1], "hours"
    glued = re.fullmatch(r"(.+?)(deg|degrees|rad|radians|hours|hrs)", words[-1]) if words else None
    if glued and glued[1] in _KNOWN:
        return [*words[:-1], glued[1]], _UNITS[glued[2]]
    return words, None


# -- the usual names, one table ------------------------------------------------------------------
class Family(NamedTuple):
    """One way of naming all columns of a coordinate system.

    ``names``: for each role the words that mean it. Words may stand between a prefix and a suffix
    that all columns share (``start_lat``, ``start_lng``; ``qx`` … ``qw``), one of ``prefixes``
    where those are listed. ``weak`` names mean something only all together. ``note`` is said when
    the family is used; ``refuse`` says why it cannot be. ``frame``: of the sky, where it has one.
    """

    system: str
    names: tuple[tuple[str, ...], ...]
    prefixes: tuple[str, ...] | None = None
    weak: bool = False
    note: str = ""
    refuse: str = ""
    frame: str = ""


def _family(system: str, *names: str, **facts) -> Family:
    return Family(system, tuple(tuple(words.split()) for words in names), **facts)


_LAT = "lat latitude latitud decimallatitude reclat"
_LON = "lon long lng longitude longitud decimallongitude reclong"
_RIGID = (
    "the names are those of several conventions (ZXZ, ZYZ, XYZ …): state the one that is meant, by "
    "columns= (--columns), as phi1=A,Phi=B,phi2=C (Bunge, ZXZ), roll=A,pitch=B,yaw=C or "
    "rot=A,tilt=B,psi=C (ZYZ)"
)

_SPHERE = (
    _family("latlon", _LAT, _LON),
    _family("latlon", "dec decl declination", "ra rightascension", frame="equatorial"),
    _family("latlon", "dej2000 decj2000 deicrs decicrs de", "raj2000 raicrs ra",
            frame="equatorial"),
    _family("latlon", "glat gallat galacticlatitude galb", "glon gallon galacticlongitude gall",
            frame="galactic"),
    _family("latlon", "elat eclat ecllat eclipticlatitude", "elon eclon ecllon eclipticlongitude",
            frame="ecliptic"),
    _family("latlon", "b bii", "l lii", prefixes=("", "g", "gal"), weak=True, frame="galactic"),
    _family("latlon", "beta", "lambda", prefixes=("", "ecl"), weak=True),
    _family("latlon", "phi", "lambda", prefixes=("",), weak=True),
    _family("latlon", "alt altitude el elev elevation", "az azi azim azimuth", weak=True,
            frame="horizontal"),
    _family(
        "colatlon",
        "colatitude colat polarangle zenith zenithangle zenithdistance",
        f"{_LON} az azi azim azimuth azimuthangle azimuthalangle phi",
    ),
    _family("vector", "x", "y", "z", weak=True),
    _family(
        "latlon", "northing utmnorthing", "easting utmeasting", weak=True,
        refuse="these are lengths on a map, not angles: turn them into latitude and longitude, or "
        "state R^2",
    ),
)  # fmt: skip
_ROTATION = (
    _family("euler", "phi1 varphi1 euler1 eulerangle1", "phi varphi euler2 eulerangle2",
            "phi2 varphi2 euler3 eulerangle3"),
    _family("rollpitchyaw", "roll bank", "pitch", "yaw heading"),
    _family("zyz", "rot rlnanglerot anglerot", "tilt rlnangletilt angletilt",
            "psi rlnanglepsi anglepsi"),
    _family("quaternion", "w qw quatw quaternionw scalar", "qx quatx quaternionx",
            "qy quaty quaterniony", "qz quatz quaternionz"),
    _family("quaternion", "w real scalar re r", "x i", "y j", "z k", weak=True),
    _family("quaternion", "0", "1", "2", "3", weak=True,
            prefixes=("q", "quat", "quaternion", "e", "ep", "orientation", "rotation"),
            note="the first is the scalar part"),
    _family("quaternion", "1", "2", "3", "4", weak=True,
            prefixes=("q", "quat", "quaternion", "orientation", "rotation"),
            note="the first is the scalar part"),
    _family("axisangle", "axisx ax kx", "axisy ay ky", "axisz az kz",
            "angle theta rotationangle", prefixes=("",), weak=True),
    _family("matrix", "11", "12", "13", "21", "22", "23", "31", "32", "33", weak=True),
    _family("matrix", "00", "01", "02", "10", "11", "12", "20", "21", "22", weak=True),
    _family("matrix", *"123456789", weak=True, note="by rows"),
    _family("matrix", *"012345678", weak=True, note="by rows"),
    _family("rotvec", "x", "y", "z", weak=True,
            prefixes=("rotvec", "rvec", "rv", "rotationvector", "omega")),
    _family("rotvec", "rx", "ry", "rz", prefixes=("",), weak=True, note="axis times angle"),
    _family("euler", "alpha", "beta", "gamma", prefixes=("", "euler"), weak=True,
            refuse=_RIGID),
    _family("euler", "phi", "theta", "psi", prefixes=("", "euler"), weak=True, refuse=_RIGID),
    _family("euler", "x", "y", "z", prefixes=("rot", "rotation", "euler", "angle"), weak=True,
            refuse=f"{_RIGID}, or rotvec_x=A,rotvec_y=B,rotvec_z=C (rotation vectors)"),
)  # fmt: skip
_NAMED = {family.system for family in (*_SPHERE, *_ROTATION)}
_FLAT = (
    ("x", "y", "z"),
    ("easting", "northing", "height altitude elevation up z"),
    ("east", "north", "up"),
    ("e", "n", "u"),
)
_TORSIONS = (
    *("phi", "psi", "omega"),
    *("alpha", "beta", "gamma", "delta", "epsilon", "eps", "zeta"),
    *("chi", "chi1", "chi2", "chi3", "chi4", "chi5"),
    *("nu0", "nu1", "nu2", "nu3", "nu4"),
)
_SMALL = 64
"""Spaces of more dimensions are named by running numbers only."""


def families(space: Manifold) -> Iterator[Family]:
    """The usual names for columns of the systems of a space. On R^d and T^d they only order
    columns. A system that is unknown here has the names of its roles."""
    systems = {system.name: system for system in space.systems}
    for family in (*_SPHERE, *_ROTATION):
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
            yield _family(name, "t time ct", *"xyz"[: k - 1], weak=True)
        yield Family(name, tuple((str(i),) for i in range(k)), weak=True)
        yield Family(name, (("t", "time"), *((f"x{i}",) for i in range(1, k))))
    elif name == "poincare":
        if k <= 3:
            yield _family(name, *"xyz"[:k], weak=True)
        yield from _numbered(name, k)
    elif name == "flat":
        for words in _FLAT:
            if 1 < k <= len(words):
                yield _family(name, *words[:k], weak=True)
        yield from _numbered(name, k)
    elif name in ("vector", "angles"):
        yield from _numbered(name, k)
    elif name not in _NAMED:
        yield Family(name, tuple((read_name(role).key,) for role in system.roles), weak=True)


def _numbered(system: str, k: int) -> Iterator[Family]:
    if k > 1:
        for first in (0, 1):
            yield Family(system, tuple((str(i + first),) for i in range(k)), weak=True)


def torsions(names: Sequence[Name]) -> list[int] | None:
    """The order of columns that are all called as torsion angles, in the usual order, or
    ``None``."""
    keys = [name.key for name in names]
    if len(set(keys)) < len(keys) or not set(keys) <= set(_TORSIONS):
        return None
    return sorted(range(len(keys)), key=lambda j: _TORSIONS.index(keys[j]))


def torsions_with_affixes(names: Sequence[Name]) -> list[int] | None:
    """The order of columns that are all called as torsion angles of numbered or lettered places
    (``phi_1``, ``psi_1``, ``phi_2`` …): place by place, or ``None``."""
    keys = [_torsion_at(name) for name in names]
    if None in keys or len(set(keys)) < len(keys):
        return None
    return sorted(range(len(keys)), key=lambda j: keys[j])  # type: ignore[arg-type,return-value]


def _torsion_at(name: Name) -> tuple[tuple[tuple[int, int, str], ...], int] | None:
    """The place and the rank of the one torsion angle that a name holds."""
    found = []
    for i, word in enumerate(name.words):
        parts = re.fullmatch(r"(\D+)(\d*)", word)
        if word in _TORSIONS:
            found.append((i, word, ""))
        elif parts and parts[1] in _TORSIONS:
            found.append((i, parts[1], parts[2]))
    if len(found) != 1:
        return None
    i, word, digits = found[0]
    return place_of((*name.words[:i], *name.words[i + 1 :], digits)), _TORSIONS.index(word)


def place_of(words: Sequence[str]) -> tuple[tuple[int, int, str], ...]:
    """What words are sorted by: first things before last ones, 2 before 10, a before b."""
    out = []
    for word in " ".join(words).split():
        for part in re.findall(r"\d{1,15}|\D+", word):
            time = 0 if part in _FIRST else 2 if part in _LAST else 1
            out.append((time, int(part), "") if part.isdecimal() else (time, -1, part))
    return tuple(out)


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
_KNOWN = {
    word
    for family in (*_SPHERE, *_ROTATION)
    for words in family.names
    for word in words
    if not word.isdigit()
} | set(_TORSIONS)


# -- finding them ----------------------------------------------------------------------------------
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
