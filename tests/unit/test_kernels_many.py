"""Fits on many points: some of them judge, and statistics are taken in pieces."""

import jax
import jax.numpy as jnp
import numpy as np

import scorefold as sf
from scorefold.kernels.local import neighbourhood, queries
from scorefold.kernels.local.neighbourhood import Neighbourhoods

FLAT = sf.Euclidean(2)
X = jnp.asarray(np.random.default_rng(0).normal(size=(90, 2)))


def test_moments_in_pieces(monkeypatch):
    """Oracle: all rows at once."""
    keep = jnp.arange(90) % 5 != 2
    around = Neighbourhoods.of(FLAT, X, 20)
    whole = around.moments((3, 7), keep)
    monkeypatch.setattr(neighbourhood, "_ROWS", 16)
    for part, want in zip(around.moments((3, 7), keep), whole, strict=True):
        np.testing.assert_allclose(part, want, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        neighbourhood._each(lambda a, b: a * b[None], X, X[:, 0]), X * X[:, :1], rtol=1e-15
    )


def test_some_points_judge(monkeypatch):
    """Oracle: what the same points see when all judge."""
    model = sf.KernelModel(FLAT, candidates=16).trainer(jax.random.key(0), X)
    everyone = model.examples(X)
    monkeypatch.setattr(queries, "_SCORED", 40)
    model = sf.KernelModel(FLAT, candidates=16).trainer(jax.random.key(0), X)
    some = model.examples(X)
    rows = np.round(np.linspace(0, 89, 40)).astype(int)
    np.testing.assert_array_equal(some.fold, everyone.fold[rows])
    np.testing.assert_array_equal(some.broad, everyone.broad[rows])
    np.testing.assert_array_equal(some.rows[:, :16], everyone.rows[rows, :16])
    assert len(model.learner.centres) == 90 and int(model.learner.by_fold.max()) < 40
    # The batches of a step are judged points of one fold.
    for step in range(8):
        at = model.batch_rows(jax.random.key(1), jnp.int32(step), 40, 12)
        assert set(np.asarray(some.fold)[np.asarray(at)]) == {step % 8}
    assert len(model.examples(X[:5], held_out=True).fold) == 5
