"""Names of columns: their words, and the unit that they state."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from scorefold.data.columns.vocabulary import KNOWN

CHOOSE = "choose by columns= (--columns)"

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
    if glued and glued[1] in KNOWN:
        return [*words[:-1], glued[1]], _UNITS[glued[2]]
    return words, None


def listed(names: Sequence[Name], columns: Sequence[int] | None = None) -> str:
    """The names of some columns (default: all), eight at most."""
    chosen = names if columns is None else [names[j] for j in columns]
    shown = ", ".join(name.text[:40] for name in chosen[:8])
    return shown + (f", … ({len(chosen)} in all)" if len(chosen) > 8 else "")


def column_list(names: Sequence[Name], columns: Sequence[int]) -> str:
    """``column lat`` or ``columns lat, lon``."""
    return f"column{'s' * (len(columns) > 1)} {listed(names, columns)}"
