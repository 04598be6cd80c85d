"""The data sets that the library knows by name: where they come from and what they mean."""

from dataclasses import dataclass

from scorefold.data.splits.protocols import GENERAL, PROTOCOLS


@dataclass(frozen=True)
class Source:
    """One accepted copy of a file: where it lies under the data folder, the sha256 of its bytes,
    the names of its columns in order, and the public address of the copy (if it has one)."""

    path: str
    sha256: str
    columns: tuple[str, ...]
    url: str | None = None


@dataclass(frozen=True)
class Entry:
    """What is known about one data set.

    ``columns`` are the coordinates, in the reader's order; ``units`` is ``"degrees"`` or
    ``"radians"``; rows with equal ``group`` (the text before its first blank) belong together;
    ``blocks`` are columns of positions for spatial splits; ``where`` keeps the rows with one
    value of one column; ``earth``: pictures show coastlines. An entry has ``sources`` (files), or
    is made by ``package``.
    """

    name: str
    title: str
    manifold: str
    columns: tuple[str, ...]
    units: str
    licence: str
    citation: str
    sources: tuple[Source, ...] = ()
    package: str | None = None
    group: str | None = None
    blocks: tuple[str, ...] = ()
    where: tuple[str, int] | None = None
    note: str = ""
    earth: bool = False

    @property
    def protocols(self) -> tuple[str, ...]:
        """The splits that make sense here; the published ones only where a table used them."""
        return PROTOCOLS if self.name in _EARTH else GENERAL


_GITHUB = "https://raw.githubusercontent.com/"
_RSGM = "oxcsml/riemannian-score-sde/b35b739464ca8264e418e400301f5f45cb7a16b3/data/"
_TOP8000 = (
    "rlabduke/reference_data/cbe300663a2bb55015cf9e9978c720cb12dbf52f/"
    "Top8000/Top8000_filtered_residues_rotarama/srcdata/"
)
_ORIX = (
    "pyxem/orix-data/fd9d2fa9b771b60b63956a0001425be7c8a5f141/"
    "sdss_ferrite_austenite/sdss_ferrite_austenite.ang"
)
_TDM = "yuchen-zhu-zyc/TDM/48698d49dd1b6089c498830d4aa4005a9190faed/dataset/rna_angles.tsv"
_TORSIONS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "chi")
_EARTH = ("volcano", "earthquake", "flood", "fire")
_LATLON = ("lat", "lon")


def _earth(
    name: str,
    title: str,
    licence: str,
    citation: str,
    clean: str,
    upstream: str,
    raw: str,
    other: str | None = None,
    note: str = "",
) -> Entry:
    sources = (
        Source(f"earth/{name}.csv", clean, _LATLON),
        Source(f"earth/{upstream}", raw, _LATLON, _GITHUB + _RSGM + upstream),
        Source(f"earth/raw_{upstream}", other or raw, _LATLON),
    )
    return Entry(
        name, title, "S^2", _LATLON, "degrees", licence, citation, sources, note=note, earth=True
    )


def _top8000(residue: str, angles: tuple[str, ...], clean: str, raw: str) -> Entry:
    short = residue[:3]
    chis = tuple(f"chi{i}" for i in range(1, 5))
    upstream = ("residue", "phi", "psi", *chis, "ca_cb_cg", "cb_deviation")
    url = f"{_GITHUB}{_TOP8000}rota8000-{short}.csv"
    ours = ("residue", "chain", "resseq", "resname", *angles)
    return Entry(
        residue,
        f"Backbone and side-chain angles of {residue} in well-resolved proteins",
        f"T^{len(angles)}",
        angles,
        "degrees",
        "CC BY 4.0",
        "Richardson Laboratory, Top8000 (Williams et al. 2018, Protein Science 27, 293).",
        (
            Source(f"torus/top8000_{short}.csv.gz", clean, ours),
            Source(f"torus/rota8000-{short}.csv", raw, upstream, url),
        ),
        group="residue",
        note="Rows of one protein share a group: they never straddle a grouped split.",
    )


def _ebsd(name: str, title: str, where: tuple[str, int] | None) -> Entry:
    columns = ("phi1", "Phi", "phi2", "x", "y", "image_quality", "confidence", "phase")
    clean = "790946738a66527e9df5e411ea395c810ca2dbb1a097c172c71061e59c10a1db"
    raw = "ac2fc2fc2b8c9c598703c96f9888677bccc9cd88cddd5e78735653fd5504e371"
    return Entry(
        name,
        title,
        "SO(3)",
        columns[:3],
        "radians",
        "CC BY 4.0",
        "orix-data, sdss_ferrite_austenite (pyxem developers).",
        (
            Source("so3/ebsd_sdss_ferrite_austenite.csv.gz", clean, columns),
            Source("so3/sdss_ferrite_austenite.ang", raw, columns, _GITHUB + _ORIX),
        ),
        blocks=("x", "y"),
        where=where,
        note="Bunge Euler angles. Orientations are defined up to the 24 rotations of the cube, and "
        "points of one grain depend on each other: split by blocks of the map.",
    )


_ENTRIES = (
    Entry(
        "airports",
        "Airports of the world with an IATA code",
        "S^2",
        _LATLON,
        "degrees",
        "MIT",
        "The airportsdata package (M. Borsetti).",
        package="airportsdata",
        note="Read offline from an installed package; the rows follow its version.",
        earth=True,
    ),
    _earth(
        "volcano",
        "Significant volcanic eruptions",
        "Facts of NOAA NCEI, via an MIT-licensed repository",
        "NGDC/WDS Significant Volcanic Eruptions Database, NOAA NCEI.",
        "210e4e722318284f79ec16bd8a5ab0414236561cc26a57d9d6fa12541f1eb3c5",
        "volerup.csv",
        "f7bbaf32a412f5fe82350f48e0c55100be260803969c16557343f687fd0593fc",
        note="827 eruptions of 267 volcanoes: the likelihood of a random split is unbounded.",
    ),
    _earth(
        "earthquake",
        "Significant earthquakes",
        "Facts of NOAA NCEI, via an MIT-licensed repository",
        "NGDC/WDS Global Significant Earthquake Database, NOAA NCEI.",
        "e1708dfb3b6b85693b94098c989cfe77b0a26cd46f7c5fb9c94dbda17de61d69",
        "quakes_all.csv",
        "3e5e1a10fb2faf1899106264289334037d039f00f5265d13dad388a93d8ff2f7",
        note="462 historical rows have whole-degree coordinates.",
    ),
    _earth(
        "flood",
        "Large floods",
        "No open licence: read from the source on demand, do not redistribute",
        "G. R. Brakenridge, Global Active Archive of Large Flood Events, Dartmouth Flood "
        "Observatory.",
        "24e31000d8ecea9bf28f3fd1139f3bbb0acc127e66e53d2f7c17a21a752da25c",
        "flood.csv",
        "ffb1e3182c3053afcdeceec4727c262a29da10255d20747c08144da5b0963486",
    ),
    _earth(
        "fire",
        "Active fires seen from satellites",
        "NASA FIRMS, open; acknowledge NASA's Fire Information for Resource Management System",
        "NASA EOSDIS, FIRMS active fire data.",
        "e848ae0b1527828f6d87e5deb1c95c6e4979ce66f0138ffc0872028ef8ae0fb9",
        "fire.csv",
        "c5c6c9490b1d8c58ba9eb78d9e2f82d1c1e62694ca5cff917c54600d3d83f459",
        "c1fb69d204ab2d743ed0234bb11c1d0692a994ef51788002ad795d1d632516c0",
        note="72 % of the points have a neighbour within 5 km: adjacent satellite pixels.",
    ),
    Entry(
        "rna",
        "Torsion angles of RNA nucleotides",
        "T^7",
        _TORSIONS,
        "degrees",
        "Facts of the Protein Data Bank, via an MIT-licensed repository",
        "Structures of Murray et al. 2003, PNAS 100, 13904; Protein Data Bank.",
        (
            Source(
                "torus/rna_angles.tsv.gz",
                "1e216d0a6d05a4c1fbd8d6039b2567d35ac34066cdcc8464dafde7f3ad2e5e21",
                ("pdb", "base", *_TORSIONS),
            ),
            Source(
                "torus/rna_angles.tsv",
                "2a8be7bc9f7064caf1d04a14051491bbd1d152eaf8f538a90d9396abcba3b803",
                ("pdb", "base", *_TORSIONS),
                _GITHUB + _TDM,
            ),
        ),
        group="pdb",
        note="Nucleotides of one structure share a group. Some published copies compute epsilon "
        "and zeta from the wrong residue.",
    ),
    _top8000(
        "lysine",
        ("phi", "psi", "chi1", "chi2", "chi3", "chi4"),
        "8244c199e39eb9b4ab947c718a7dd016d7eb4782314640a1d570168f686c0c55",
        "cbd814e6eea436adbfeb50e20eb6a0cd4d1eb1e32c37fc709c5212b57d29fa3c",
    ),
    _top8000(
        "cysteine",
        ("phi", "psi", "chi1"),
        "6a6fe40255e7f21fa6ca724d70ffe3110674e62554bd3aa21d1ba511e3342d4a",
        "c590f9380042894297854c19c59ed051a69a560ee2560b90087de743699bf71c",
    ),
    _ebsd("ebsd", "Crystal orientations in a duplex steel (both phases)", None),
    _ebsd("ebsd-austenite", "Crystal orientations of the austenite", ("phase", 1)),
    _ebsd("ebsd-ferrite", "Crystal orientations of the ferrite", ("phase", 2)),
)

REGISTRY: dict[str, Entry] = {e.name: e for e in _ENTRIES}
