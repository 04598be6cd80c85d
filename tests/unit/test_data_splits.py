"""Splits: the published ones to the row, and the promises of the others."""

import jax
import numpy as np
import pytest

from scorefold.data import DataError
from scorefold.data.splits.protocols import PROTOCOLS, equal_rows, split
from scorefold.data.splits.published import (
    rfm_sizes,
    rsgm_permutation,
    rsgm_sizes,
    torch_permutation,
)

EARTH = {"volcano": 827, "earthquake": 6120, "flood": 4875, "fire": 12809}


def test_published_permutations_equal_the_recorded_ones(data_dir):
    """Oracle: permutations made by the original programs with JAX 0.4 (both settings of the
    generator flag) and PyTorch, seeds 0 to 4."""
    recorded = np.load(data_dir / "earth" / "published_split_permutations.npz")
    for name, n in EARTH.items():
        assert tuple(recorded[f"{name}__rsgm_sizes"]) == rsgm_sizes(n)
        assert tuple(recorded[f"{name}__rfm_sizes"]) == rfm_sizes(n)
        for seed in range(5):
            for key, ours in (
                ("rsgm_jax_old", rsgm_permutation(n, seed)),
                ("rsgm_jax_partitionable", rsgm_permutation(n, seed, partitionable=True)),
                ("rfm_torch", torch_permutation(n, seed)),
            ):
                np.testing.assert_array_equal(recorded[f"{name}__{key}__{seed}"], ours)


def test_permutation_equals_that_of_the_installed_jax():
    """Oracle: jax.random itself. 1627 rows need two rounds of sorting, and an odd number pads
    the counter of the old generator."""
    n = 1627
    key = jax.random.split(jax.random.PRNGKey(7))[1]
    np.testing.assert_array_equal(
        rsgm_permutation(n, 7, partitionable=True), jax.random.permutation(key, n)
    )
    with jax.threefry_partitionable(False):
        key = jax.random.split(jax.random.PRNGKey(7))[1]
        np.testing.assert_array_equal(rsgm_permutation(n, 7), jax.random.permutation(key, n))


def test_torch_permutation_equals_the_known_value():
    """Oracle: torch.manual_seed(0); torch.randperm(10), in PyTorch 1 and 2."""
    assert torch_permutation(10, 0).tolist() == [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]


def cloud(n=1000):
    """Points on 300 sites, in 40 groups."""
    rng = np.random.default_rng(0)
    sites = rng.normal(size=(300, 3))
    return sites[rng.integers(0, 300, n)], rng.integers(0, 40, n)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_parts_are_disjoint_complete_and_80_10_10(protocol):
    positions, _ = cloud()
    parts = split(protocol, positions, 3)
    rows = np.concatenate(parts)
    kept = len(np.unique(positions, axis=0)) if protocol == "dedup" else len(positions)
    assert len(np.unique(rows)) == len(rows) == kept
    # Blocks are about a hundred cells: the parts are exact to one cell.
    slack = 0.03 if protocol == "blocks" else 0.003
    np.testing.assert_allclose([len(p) / kept for p in parts], [0.8, 0.1, 0.1], atol=slack)


@pytest.mark.fault(14, "splits of one seed and of two")
def test_same_seed_same_rows_other_seed_other_rows():
    positions, _ = cloud()
    for protocol in PROTOCOLS:
        a, b, c = (split(protocol, positions, seed) for seed in (3, 3, 4))
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
        assert not np.array_equal(a.train, c.train)
    # Frozen rows: a change of generator or of the order of its draws must be seen.
    assert split("random", positions, 3).test[:5].tolist() == [315, 430, 950, 78, 931]
    assert split("grouped", positions, 3).test[:5].tolist() == [84, 376, 10, 290, 858]
    assert split("blocks", positions, 3).test[:5].tolist() == [643, 207, 100, 258, 444]


@pytest.mark.fault(21, "equal rows and groups under the default protocol")
def test_grouped_separates_neither_equal_rows_nor_groups():
    positions, groups = cloud()
    labels = equal_rows(positions)
    assert len(np.unique(labels)) == len(np.unique(positions, axis=0))
    train, val, test = split("grouped", positions, 0)
    assert not set(labels[train]) & set(labels[np.concatenate([val, test])])
    assert not set(labels[val]) & set(labels[test])
    # Groups joined by shared sites: here sites are private to a group.
    private = positions + 10.0 * groups[:, None]
    train, val, test = split("grouped", private, 0, groups=groups)
    assert not set(groups[train]) & set(groups[np.concatenate([val, test])])
    assert not set(groups[val]) & set(groups[test])


def test_groups_joined_by_a_shared_point_stay_together():
    # a-b share point 0, b-c share point 1: one component of 30 rows among 270 single rows.
    positions = np.arange(300.0)[:, None]
    groups = np.array([f"g{i}" for i in range(300)])
    groups[:30] = np.repeat(["a", "b", "c"], 10)
    positions[[9, 10]], positions[[19, 20]] = 0.5, 1.5
    for seed in range(5):
        parts = split("grouped", positions, seed, groups=groups)
        assert sum(bool(np.isin(np.arange(30), part).any()) for part in parts) == 1


def test_a_giant_group_goes_to_training():
    groups = np.concatenate([np.zeros(300, int), np.arange(1, 701)])
    for seed in range(5):
        parts = split("grouped", np.arange(1000.0)[:, None], seed, groups=groups)
        assert np.isin(np.arange(300), parts.train).all()
        assert [len(p) for p in parts] == [800, 100, 100]


def test_blocks_put_whole_regions_aside():
    """On a line cut into cells, the nearest training point of a test point is a cell away:
    random splits have it at the spacing, 1/2000; blocks at about half a cell, 1/400."""
    line = np.linspace(0, 1, 2000)[:, None]

    def gap(protocol):
        parts = split(protocol, line, 0)
        return np.median(np.abs(line[parts.test] - line[parts.train].T).min(axis=1))

    assert gap("random") < 0.6e-3
    assert gap("blocks") > 1.5e-3


@pytest.mark.parametrize("protocol", ["grouped", "random", "dedup", "blocks"])
@pytest.mark.parametrize("n", [3, 4, 7, 11])
@pytest.mark.fault(16, "tables of 3 to 11 rows under four protocols")
def test_small_tables_have_no_empty_part(protocol, n):
    for seed in range(8):
        parts = split(protocol, np.arange(float(n))[:, None], seed)
        assert min(map(len, parts)) >= 1


def test_uneven_small_groups_have_no_empty_part():
    groups = np.repeat([0, 1, 2], [5, 5, 90])
    for seed in range(8):
        parts = split("grouped", np.arange(100.0)[:, None], seed, groups=groups)
        assert sorted(map(len, parts)) == [5, 5, 90]


def test_errors_name_the_choice():
    positions, _ = cloud()
    with pytest.raises(DataError, match="Did you mean 'grouped'"):
        split("groupd", positions, 0)
    with pytest.raises(DataError, match="2 rows cannot be split"):
        split("random", positions[:2], 0)
    with pytest.raises(DataError, match="form 1 groups"):
        split("grouped", np.zeros((50, 2)), 0)
    with pytest.raises(DataError, match="seed"):
        split("random", positions, -1)
