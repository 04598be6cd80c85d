"""Nobody who has not seen the training points is called a copy, whatever their law; copies are.

Few keys here; ``benchmarks/copying_calibration.py`` has many."""

import jax
import numpy as np
import pytest

from scorefold.manifolds import Euclidean, Sphere, Torus
from scorefold.metrics import copying, generalisation, nearest_ratio


def directions(rng, n):
    x = rng.normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def hard_core(rng, n, least):
    """Uniform directions kept one after another if farther than ``least`` from all kept."""
    kept = np.empty((0, 3))
    while len(kept) < n:
        for x in directions(rng, 2000):
            if len(kept) == 0 or np.max(kept @ x) < np.cos(least):
                kept = np.concatenate([kept, x[None]])
            if len(kept) == n:
                break
    return kept


def clusters(rng, n):
    centres = np.random.default_rng(9).normal(size=(30, 2))
    return centres[rng.integers(30, size=n)] + 0.02 * rng.normal(size=(n, 2))


def gridded(rng, n):
    return np.round(rng.uniform(-3, 3, (n, 2)), 1)


# A law of points and one of innocent draws: smooth, and blind to what the points do up close.
LAWS = {
    "repelling": (Sphere(2), lambda rng, n: hard_core(rng, n, 0.09), directions),
    "clustered": (Euclidean(2), clusters, lambda rng, n: rng.normal(size=(n, 2))),
    "gridded": (Torus(2), gridded, lambda rng, n: rng.uniform(-3, 3, (n, 2))),
    "smooth": (Euclidean(3), lambda rng, n: rng.normal(size=(n, 3)),
               lambda rng, n: 1.1 * rng.normal(size=(n, 3))),
}  # fmt: skip


@pytest.fixture(scope="module", params=LAWS)
def sets(request):
    """(manifold, training, validation and test points, innocent draws)."""
    manifold, law, innocent = LAWS[request.param]
    rng = np.random.default_rng(3)
    points = rng.permutation(law(rng, 500))
    return manifold, points[:400], points[400:450], points[450:], innocent(rng, 400)


def test_the_innocent_are_not_accused(sets):
    """p > 0.005 for draws that have seen nothing: a verdict at 1 % of keys or fewer."""
    manifold, train, val, test, x = sets
    found = copying(manifold, x, train, test, val=val, key=jax.random.key(0))
    assert found.verdict != "copies training points"
    assert abs(found.nearer - 0.5) < 4 * found.nearer_error
    assert nearest_ratio(manifold, x, train, test, val=val).verdict == "consistent with fresh data"


def test_a_tenth_of_copies_is_found(sets):
    """Forty of 400 draws are training points and noise of a hundredth of the spacing."""
    manifold, train, val, test, x = sets
    rng = np.random.default_rng(1)
    mixed = x.copy()
    mixed[:40] = train[rng.integers(400, size=40)] + 2e-4 * rng.normal(size=(40, x.shape[1]))
    if isinstance(manifold, Sphere):
        mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    found = copying(manifold, mixed, train, test, val=val, key=jax.random.key(0))
    assert found.verdict == "copies training points" and found.p_copies <= 0.005
    if not isinstance(manifold, Torus):  # on a grid of 3600 places copies are not so rare
        assert abs(found.copies - 0.1) < 0.03


def test_the_exchange_is_exact():
    """60 keys, 120 points of which 30 are held out, repeated rows split together, 100 draws: p is
    never small too often: shares at 0.05 and 0.2 within 4 binomial standard errors above."""
    p = []
    for k in range(60):
        rng = np.random.default_rng(k)
        points = np.repeat(rng.normal(size=(60, 2)), 2, axis=0)
        rows = rng.permutation(60)
        train, test = (points.reshape(60, 2, 2)[r].reshape(-1, 2) for r in (rows[:45], rows[45:]))
        found = copying(Euclidean(2), rng.normal(size=(100, 2)), train, test,
                        key=jax.random.key(k), cells=1)  # fmt: skip
        p.append((found.p_value, found.p_copies))
    for share in (0.05, 0.2):
        limit = share + 4 * np.sqrt(share * (1 - share) / 60)
        assert (np.mean(np.array(p) <= share, axis=0) < limit).all()


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_few_points_give_null_with_a_reason(n):
    """JSON without NaN, and a reason for everything that is missing."""
    import json

    rng = np.random.default_rng(0)
    x, train = rng.normal(size=(2, 50, 2))
    found = generalisation(Euclidean(2), x, train, rng.normal(size=(n, 2)), key=jax.random.key(0))
    record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert all(len(reason) < 500 for reason in record["left_out"].values())
    if n < 10:
        assert "at least 10" in record["left_out"]["copying"]
        assert record["nearest_ratio"]["z"] is None
        assert record["nearest_ratio"]["verdict"] == "too few points to tell"
    for part in record.values():
        if isinstance(part, dict) and None in part.values():
            assert part["verdict"].startswith(("too few", "consistent")), part


def test_regions_apart_are_not_judged():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 100, 2))
    found = generalisation(Euclidean(2), *x, key=jax.random.key(0), apart=True)
    assert found.copying is None and "other regions" in found.left_out["copying"]
