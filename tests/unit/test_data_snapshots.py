"""Snapshots: recorded counts, labels, splits by member and the truth of synthetic ones."""

import jax
import numpy as np
import pytest

from scorefold.data import DataError, Snapshots, load_snapshots
from scorefold.data.laws.evolutions import bifurcation, curving_storms, petal
from scorefold.manifolds import Euclidean


@pytest.fixture(scope="module")
def storms(data_dir):
    return load_snapshots("hurricanes", data_dir=data_dir)


def test_storms_alive_at_each_day(storms):
    """Counted independently in the file: records 0, 24, …, 120 h after the first. Every storm
    that is seen at all was seen at 0 h, and none comes back except those without a record on the
    hour; Alma of 1970 was at 11.5 N 79 W first."""
    assert storms.mass == (797, 787, 721, 612, 515, 424)
    assert all(
        lost - gained == a - b
        for lost, gained, a, b in zip(
            storms.lost, storms.gained, storms.mass[:-1], storms.mass[1:], strict=True
        )
    )
    assert storms.survivors(0).sum() == 797 - storms.lost[0]
    alma = storms.points[0][np.flatnonzero(storms.ids[0] == "AL011970")[0]]
    np.testing.assert_allclose(storms.manifold.to_latlon(alma), [11.5, -79.0], atol=1e-9)


def test_split_keeps_storms_whole(storms):
    """No storm in two parts, none lost, shares 60/20/20 to rounding."""
    parts = storms.split(3, (0.6, 0.2, 0.2))
    names = [set(np.concatenate(p.ids)) for p in parts]
    assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])
    assert [len(n) for n in names] == [478, 160, 159]
    assert tuple(np.sum([p.mass for p in parts], axis=0)) == storms.mass


def test_paths_follow_labels(storms):
    """The track of a storm is its row in every snapshot."""
    paths, names = storms.paths()
    assert len(paths) == len(set.intersection(*(set(own) for own in storms.ids)))
    for k in (0, 3, 5):
        row = np.flatnonzero(storms.ids[k] == names[7])[0]
        np.testing.assert_array_equal(paths[7, k], storms.points[k][row])


def test_cells(data_dir):
    """Sizes in the papers that use them; standard deviation of the first component 43."""
    cite = load_snapshots("cite", data_dir=data_dir)
    assert cite.mass == (6071, 7643, 8485, 7195) and cite.times == (2.0, 3.0, 4.0, 7.0)
    assert np.concatenate(cite.points).std(0)[0] == pytest.approx(43, abs=0.5)
    body = load_snapshots("embryoid", data_dir=data_dir)
    assert body.mass == (300,) * 5 and body.manifold.dim == 5
    assert body.without(2).times == (0.0, 1.0, 3.0, 4.0)


def test_synthetic_snapshots_have_the_stated_laws():
    """Means by arm or side within 5 standard errors; survivors e^{−t/2} within 5 binomial ones."""
    n = 2000
    rose = petal(jax.random.key(0), n)
    arm = np.array([int(i[0]) for i in rose.ids[0]])
    for t, points in zip(rose.times, rose.points, strict=True):
        angle = 2 * np.pi * 3 / 5 + 1.2 * t
        mean = points[arm == 3].mean(0)
        truth = 3 * t * np.array([np.cos(angle), np.sin(angle)])
        assert np.abs(mean - truth).max() < 5 * 0.05 / np.sqrt((arm == 3).sum())
    tree = bifurcation(jax.random.key(1), n)
    assert np.abs(np.abs(tree.points[4][:, 1]).mean() - 1.0) < 5 * 0.1 / np.sqrt(n)
    assert np.abs(tree.points[2][:, 1].mean()) < 5 * 0.1 / np.sqrt(n)
    storms = curving_storms(jax.random.key(2), n)
    for t, mass in zip(storms.times, storms.mass, strict=True):
        p = np.exp(-t / 2)
        assert abs(mass / n - p) <= 5 * np.sqrt(p * (1 - p) / n)
    np.testing.assert_allclose(storms.points[4][:, 2], np.sin(0.7), atol=1e-12)


def test_mass_without_labels_and_bad_input():
    line = Euclidean(1)
    points = [np.zeros((n, 1)) + np.arange(n)[:, None] for n in (4, 2, 3)]
    some = Snapshots("mine", line, (0.0, 1.0, 3.0), tuple(points))
    assert some.lost == (2, 0) and some.gained == (0, 1)
    with pytest.raises(DataError, match="survivors are not known"):
        some.survivors(0)
    with pytest.raises(DataError, match="times must increase"):
        Snapshots("mine", line, (0.0, 2.0, 1.0), tuple(points))
    with pytest.raises(DataError, match=r"ids\[1\] must be 2 different"):
        Snapshots("mine", line, (0.0, 1.0), tuple(points[:2]), (np.arange(4), np.zeros(2)))
    with pytest.raises(DataError, match="Did you mean 'hurricanes'"):
        load_snapshots("huricanes")
