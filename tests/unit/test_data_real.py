"""The registered files themselves: hashes, units, and the facts known about them."""

import numpy as np
import pytest

from scorefold.data import REGISTRY, load, read_table
from scorefold.data.sources.download import locate, sha256_of

EARTH = {"volcano": (827, 267), "earthquake": (6120, 5447), "flood": (4875, 4861)}
EARTH["fire"] = (12809, 12802)
RAW = {
    "volcano": "raw_volerup.csv",
    "earthquake": "raw_quakes_all.csv",
    "flood": "raw_flood.csv",
    "fire": "raw_fire.csv",
}


@pytest.fixture(scope="module", autouse=True)
def folder(data_dir):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCOREFOLD_DATA_DIR", str(data_dir))
        yield


@pytest.mark.parametrize("name", EARTH)
def test_earth_rows_duplicates_and_leaks(name):
    """Facts counted independently with pandas; leaks are means over seeds 0-4 of the recorded
    splits: volcano 81 % (RSGM) and 84 % (RFM), earthquake 15 %, flood 0.5 %, fire 0.1 %."""
    data = load(name, protocol="published")
    found = data.audit
    assert (found.rows, found.unique) == EARTH[name]
    assert found.leaks["grouped"] == found.leaks["dedup"] == found.leaks["blocks"] == 0.0
    assert found.leaks["published"] == found.leak
    low, high = {
        "volcano": (0.80, 0.85),
        "earthquake": (0.145, 0.165),
        "flood": (0.003, 0.007),
        "fire": (0.0003, 0.0015),
    }[name]
    for protocol in ("published", "published-rfm"):
        shares = []
        for seed in range(5):
            parts = load(name, protocol=protocol, seed=seed).indices
            train = {tuple(row) for row in data.values[parts.train]}
            shares.append(np.mean([tuple(row) in train for row in data.values[parts.test]]))
        assert low < np.mean(shares) < high


def test_defects_of_the_earth_files():
    volcano, quake, fire = (load(n).audit for n in ("volcano", "earthquake", "fire"))
    assert volcano.largest_multiplicity == 27
    assert quake.whole == 462 and quake.ranges["lon"][1] == 180.0
    assert quake.resolution == {"lat": 0.001, "lon": 0.001}
    # 72 % of fire points have a neighbour within 5 km.
    assert fire.nearest["50%"] * 6371 < 5 < fire.nearest["75%"] * 6371


@pytest.mark.parametrize("name", EARTH)
def test_upstream_copies_with_one_two_or_four_header_lines_give_the_same_rows(name, data_dir):
    raw = read_table(data_dir / "earth" / RAW[name]).to_numpy(float)
    np.testing.assert_array_equal(raw, load(name).values)


def test_points_are_geographic_and_units_come_back():
    data = load("flood", protocol="published")
    lat, lon = np.radians(data.values[data.indices.test].T)
    xyz = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
    np.testing.assert_allclose(data.test, xyz, atol=1e-12)
    np.testing.assert_allclose(
        data.to_units(data.test).to_numpy(), data.values[data.indices.test], atol=1e-9
    )


@pytest.mark.parametrize(
    ("name", "rows", "groups"),
    [("rna", 9478, 113), ("lysine", 34860, 6460), ("cysteine", 16767, 5061)],
)
def test_molecules_split_by_structure(name, rows, groups):
    data = load(name)
    assert len(data.values) == rows and len(np.unique(data.groups)) == groups
    train, val, test = (set(data.groups[part]) for part in data.indices)
    assert not train & test and not train & val and not val & test
    assert abs(len(data.indices.test) / rows - 0.1) < 0.002
    back = data.to_units(data.test[:500]).to_numpy()
    np.testing.assert_allclose(back, data.values[data.indices.test[:500]], atol=1e-9)


def test_crystals_by_blocks_and_by_phase():
    both = load("ebsd", protocol="blocks")
    assert len(both.values) == 11700
    sizes = [len(load(f"ebsd-{phase}").values) for phase in ("austenite", "ferrite")]
    assert sizes == [5657, 6043]
    # Bunge: R = Rz(φ1) Rx(Φ) Rz(φ2), written out for one row.
    a, b, c = both.values[both.indices.test[0]]

    def rz(t):
        return np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]])

    rx = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    np.testing.assert_allclose(both.test[0], rz(a) @ rx @ rz(c), atol=1e-9)


def test_the_download_copy_of_each_file_is_registered_by_hash(data_dir):
    """Three of the upstream earth copies are byte-identical to local ones, so that the hash of
    the file behind each public address can be checked without a network."""
    for name in ("volcano", "earthquake", "flood"):
        source = next(s for s in REGISTRY[name].sources if s.url)
        assert sha256_of(data_dir / "earth" / RAW[name]) == source.sha256
    for entry in REGISTRY.values():
        if entry.sources:
            path, source = locate(entry, data_dir)
            assert sha256_of(path) == source.sha256


def test_airports_need_no_file(monkeypatch):
    monkeypatch.delenv("SCOREFOLD_DATA_DIR")
    data = load("airports")
    assert len(data.values) > 7000 and data.audit.leak == 0.0
    # Airports cluster on land: far from uniform, whose mean vector has length about 0.01.
    assert np.linalg.norm(np.asarray(data.train).mean(axis=0)) > 0.2
