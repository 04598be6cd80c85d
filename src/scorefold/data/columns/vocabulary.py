"""The usual names for the columns of coordinate systems, one table."""

from typing import NamedTuple


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


def called(system: str, *names: str, **facts: object) -> Family:
    """A family whose words for each role stand in one text."""
    return Family(system, tuple(tuple(words.split()) for words in names), **facts)  # type: ignore[arg-type]


_LAT = "lat latitude latitud decimallatitude reclat"
_LON = "lon long lng longitude longitud decimallongitude reclong"
_RIGID = (
    "the names are those of several conventions (ZXZ, ZYZ, XYZ …): state the one that is meant, by "
    "columns= (--columns), as phi1=A,Phi=B,phi2=C (Bunge, ZXZ), roll=A,pitch=B,yaw=C or "
    "rot=A,tilt=B,psi=C (ZYZ)"
)

SPHERE = (
    called("latlon", _LAT, _LON),
    called("latlon", "dec decl declination", "ra rightascension", frame="equatorial"),
    called("latlon", "dej2000 decj2000 deicrs decicrs de", "raj2000 raicrs ra", frame="equatorial"),
    called("latlon", "glat gallat galacticlatitude galb", "glon gallon galacticlongitude gall",
           frame="galactic"),
    called("latlon", "elat eclat ecllat eclipticlatitude", "elon eclon ecllon eclipticlongitude",
           frame="ecliptic"),
    called("latlon", "b bii", "l lii", prefixes=("", "g", "gal"), weak=True, frame="galactic"),
    called("latlon", "beta", "lambda", prefixes=("", "ecl"), weak=True),
    called("latlon", "phi", "lambda", prefixes=("",), weak=True),
    called("latlon", "alt altitude el elev elevation", "az azi azim azimuth", weak=True,
           frame="horizontal"),
    called(
        "colatlon",
        "colatitude colat polarangle zenith zenithangle zenithdistance",
        f"{_LON} az azi azim azimuth azimuthangle azimuthalangle phi",
    ),
    called("vector", "x", "y", "z", weak=True),
    called(
        "latlon", "northing utmnorthing", "easting utmeasting", weak=True,
        refuse="these are lengths on a map, not angles: turn them into latitude and longitude, or "
        "state R^2",
    ),
)  # fmt: skip
ROTATION = (
    called("euler", "phi1 varphi1 euler1 eulerangle1", "phi varphi euler2 eulerangle2",
           "phi2 varphi2 euler3 eulerangle3"),
    called("rollpitchyaw", "roll bank", "pitch", "yaw heading"),
    called("zyz", "rot rlnanglerot anglerot", "tilt rlnangletilt angletilt",
           "psi rlnanglepsi anglepsi"),
    called("quaternion", "w qw quatw quaternionw scalar", "qx quatx quaternionx",
           "qy quaty quaterniony", "qz quatz quaternionz"),
    called("quaternion", "w real scalar re r", "x i", "y j", "z k", weak=True),
    called("quaternion", "0", "1", "2", "3", weak=True,
           prefixes=("q", "quat", "quaternion", "e", "ep", "orientation", "rotation"),
           note="the first is the scalar part"),
    called("quaternion", "1", "2", "3", "4", weak=True,
           prefixes=("q", "quat", "quaternion", "orientation", "rotation"),
           note="the first is the scalar part"),
    called("axisangle", "axisx ax kx", "axisy ay ky", "axisz az kz",
           "angle theta rotationangle", prefixes=("",), weak=True),
    called("matrix", "11", "12", "13", "21", "22", "23", "31", "32", "33", weak=True),
    called("matrix", "00", "01", "02", "10", "11", "12", "20", "21", "22", weak=True),
    called("matrix", *"123456789", weak=True, note="by rows"),
    called("matrix", *"012345678", weak=True, note="by rows"),
    called("rotvec", "x", "y", "z", weak=True,
           prefixes=("rotvec", "rvec", "rv", "rotationvector", "omega")),
    called("rotvec", "rx", "ry", "rz", prefixes=("",), weak=True, note="axis times angle"),
    called("euler", "alpha", "beta", "gamma", prefixes=("", "euler"), weak=True, refuse=_RIGID),
    called("euler", "phi", "theta", "psi", prefixes=("", "euler"), weak=True, refuse=_RIGID),
    called("euler", "x", "y", "z", prefixes=("rot", "rotation", "euler", "angle"), weak=True,
           refuse=f"{_RIGID}, or rotvec_x=A,rotvec_y=B,rotvec_z=C (rotation vectors)"),
)  # fmt: skip
NAMED = {family.system for family in (*SPHERE, *ROTATION)}
"""Systems whose roles are looked up here; others have names of their own."""
FLAT = (
    ("x", "y", "z"),
    ("easting", "northing", "height altitude elevation up z"),
    ("east", "north", "up"),
    ("e", "n", "u"),
)
TORSIONS = (
    *("phi", "psi", "omega"),
    *("alpha", "beta", "gamma", "delta", "epsilon", "eps", "zeta"),
    *("chi", "chi1", "chi2", "chi3", "chi4", "chi5"),
    *("nu0", "nu1", "nu2", "nu3", "nu4"),
)
KNOWN = {
    word
    for family in (*SPHERE, *ROTATION)
    for words in family.names
    for word in words
    if not word.isdigit()
} | set(TORSIONS)
"""All words of these tables."""
