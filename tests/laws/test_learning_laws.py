"""How closed-form models learn, on point sets that are hard on numbers, over all spaces."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from projective_plane import ProjectivePlane

import scorefold as sf
from scorefold._fixed import trainable
from scorefold.models import GaussianKernelModel

N = 12
CURVED = {
    "S^2": sf.Sphere(2),
    "T^2": sf.Torus(2),
    "SO(3)": sf.SO3(),
    "H^2": sf.Hyperbolic(2),
    "RP^2": ProjectivePlane(),
    "S^1 x R^1": sf.Product(sf.Torus(1), sf.Euclidean(1)),
}
PLANE = sf.Euclidean(2)


def tangents(d):
    """Tangent vectors at the origin by name, each of shape ``(12, d)``."""
    rng = np.random.default_rng(0)
    normal, one = rng.normal(size=(N, d)), np.eye(d)[0]
    steps = np.stack(np.unravel_index(np.arange(N), (4,) * d), 1)
    far = 1e-3 * normal
    far[0] = 3.0 * one
    axes = np.concatenate([np.eye(d), -np.eye(d)]) * (math.pi / 2)
    ends = np.arange(N)[:, None] % 2 * math.pi * one[None]
    return {
        "lattice": 0.3 * steps,
        "line": np.linspace(-1, 1, N)[:, None] * one[None],
        "repeated": np.repeat(normal[:3], N // 3, axis=0),
        "nearly repeated": np.repeat(normal[:3], N // 3, axis=0) + 1e-7 * normal,
        "far": far,
        "mixed scales": np.where(np.arange(N)[:, None] % 2, 1.0, 1e-6) * normal,
        "axes": np.resize(axes, (N, d)),
        "two": np.resize(normal[:2], (N, d)),
        "antipodal": normal / np.linalg.norm(normal, axis=1, keepdims=True) * ends.sum(1)[:, None],
        "cut locus": ends + 1e-6 * normal,
        "rim": 15.0 * normal / np.linalg.norm(normal, axis=1, keepdims=True),
        "huge": 1e9 * normal,
        "tiny": 1e-9 * normal,
        "one far": np.concatenate([1e6 * one[None], normal[1:]]),
    }


CURVED_SETS = [k for k in tangents(2) if k not in ("huge", "tiny", "one far")]


def points(manifold, name, dtype):
    origin = manifold.origin(jnp.float64)
    v = jnp.asarray(tangents(manifold.dim)[name])
    x = jax.vmap(lambda u: manifold.exp(origin, manifold.from_components(origin, u)))(v)
    return jax.vmap(manifold.project)(x.astype(dtype))


@eqx.filter_jit
def losses(params, rest, x):
    def loss(p):
        return jnp.mean(eqx.combine(p, rest).batch_loss(x, jax.random.key(0)))

    return jax.value_and_grad(loss)(params)


def states(model):
    """Parameters as they start, and with all of them far away in both directions."""
    params, rest = eqx.partition(model, trainable(model))
    rng = np.random.default_rng(1)
    for size in (0.0, 10.0, 1e4):
        yield (
            size,
            jax.tree.map(
                lambda a, s=size: a + jnp.asarray(s * rng.normal(size=a.shape), a.dtype), params
            ),
            rest,
        )


def check_finite(model, data):
    """Loss and gradient of a batch at every state."""
    for size, params, rest in states(model):
        value, slope = losses(params, rest, data)
        assert np.isfinite(value), size
        assert all(np.isfinite(np.asarray(g)).all() for g in jax.tree.leaves(slope)), size


HARDEST = ("lattice", "nearly repeated", "mixed scales", "two", "cut locus")
CASES = [
    pytest.param("S^2", np.float32, HARDEST[1:3]),
    *(
        pytest.param(name, dtype, CURVED_SETS, marks=pytest.mark.slow)
        for name in CURVED
        for dtype in (np.float32, np.float64)
    ),
]


@pytest.mark.parametrize(("space", "dtype", "names"), CASES)
def test_losses_of_kernels_are_finite(space, dtype, names):
    """Whatever the points and the parameters are; and (in the slow cases) so is the density that
    training starts with, at its own points."""
    manifold = CURVED[space]
    for name in names:
        data = points(manifold, name, dtype)
        model = sf.KernelModel(manifold, counts=(2, 5), folds=2, grouped=False, width=4, depth=1)
        trainer = model.trainer(jax.random.key(0), np.asarray(data))
        judged = trainer.examples(np.asarray(data))
        rows = jnp.resize(trainer.learner.by_fold[0], (8,))
        check_finite(trainer, jax.tree.map(lambda a, r=rows: a[r], judged))
        if names is CURVED_SETS:
            value = trainer.model(judged, None).log_prob(data)
            assert np.isfinite(value).all(), name


@pytest.mark.parametrize("dtype", [np.float32, pytest.param(np.float64, marks=pytest.mark.slow)])
def test_losses_of_flat_kernels_are_finite(dtype):
    fast = dtype == np.float32
    for name in (*HARDEST[1:3], "one far") if fast else tangents(2):
        data = jnp.asarray(tangents(2)[name], dtype)
        model = sf.KernelModel(PLANE, counts=(2, 5), folds=2, grouped=False, width=4, depth=1)
        trainer = model.trainer(jax.random.key(0), np.asarray(data))
        rows = jnp.resize(trainer.learner.by_fold[0], (8,))
        examples = trainer.examples(np.asarray(data))
        check_finite(trainer, jax.tree.map(lambda a, r=rows: a[r], examples))
        for form in ("cholesky",) if fast else ("cholesky", "low-rank", "diagonal"):
            flat = GaussianKernelModel(PLANE, form=form, width=4, depth=1)
            flat = flat.trainer(jax.random.key(0), np.asarray(data))
            check_finite(flat, data)
