"""Products rounded to bfloat16 against float64 and their error bound; the fast sine."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.fields import (
    AmbientOutput,
    NetworkField,
    NetworkSpec,
    rounded_dot,
    sine,
    value_and_divergence,
)
from scorefold.fitting import fit, load, save
from scorefold.manifolds import Euclidean, Sphere
from scorefold.models import ScoreModel, default_noising
from scorefold.noising import Brownian

quick = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

FORMS = {
    "nn": ((6, 8), (8, 4), (((1,), (0,)), ((), ()))),
    "nt": ((6, 8), (4, 8), (((1,), (1,)), ((), ()))),
    "tn": ((8, 6), (8, 4), (((0,), (0,)), ((), ()))),
    "odd": ((7, 5), (7, 3), (((0,), (0,)), ((), ()))),
    "stacks": ((3, 8, 6), (3, 8, 4), (((1,), (1,)), ((0,), (0,)))),
    "two axes": ((8, 3, 6), (3, 4, 8), (((0, 1), (2, 0)), ((), ()))),
    "vectors": ((8,), (8,), (((0,), (0,)), ((), ()))),
}


def draws(*shapes):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes]


def rounded(x):
    return np.asarray(x.astype(jnp.bfloat16).astype(jnp.float32), np.float64)


def exact(a, b, axes):
    """In float64, of factors rounded beforehand: what is left is the rounding of float32 sums."""
    return jax.lax.dot_general(rounded(a), rounded(b), axes)


@pytest.mark.parametrize(("left", "right", "axes"), FORMS.values(), ids=FORMS)
def test_products_and_their_derivatives_are_those_of_rounded_factors(left, right, axes):
    a, b = draws(left, right)
    out, pull = jax.vjp(lambda x, y: rounded_dot(x, y, axes), a, b)
    np.testing.assert_allclose(out, exact(a, b, axes), atol=1e-5)
    assert out.dtype == jnp.float32
    (ct,) = draws(out.shape)
    # The oracle's derivative is that of the product of the rounded factors, at a rounded cotangent.
    wide = [jnp.asarray(rounded(x)) for x in (a, b)]
    expected = jax.vjp(lambda x, y: jax.lax.dot_general(x, y, axes), *wide)[1](rounded(ct))
    for ours, theirs in zip(pull(ct), expected, strict=True):
        assert ours.dtype == jnp.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    # Against factors that are not rounded: at most 2⁻⁷ + 2⁻¹⁶ of the sum of sizes.
    sizes = jax.lax.dot_general(jnp.abs(a), jnp.abs(b), axes)
    error = jnp.abs(out - jax.lax.dot_general(a, b, axes))
    assert jnp.all(error <= (2.0**-7 + 2.0**-15) * sizes)
    assert jnp.any(error > 0)


def test_products_under_vmap_are_the_products_one_by_one():
    a, b = draws((5, 6, 8), (5, 8, 4))
    axes = FORMS["nn"][2]
    dot = lambda x, y: rounded_dot(x, y, axes)  # noqa: E731
    expected = np.stack([exact(x, y, axes) for x, y in zip(a, b, strict=True)])
    np.testing.assert_allclose(jax.vmap(dot)(a, b), expected, atol=1e-5)
    left = np.stack([exact(x, b[0], axes) for x in a])
    np.testing.assert_allclose(jax.vmap(dot, (0, None))(a, b[0]), left, atol=1e-5)
    right = np.stack([exact(a[0], y, axes) for y in b], axis=1)
    np.testing.assert_allclose(jax.vmap(dot, (None, 0), 1)(a[0], b), right, atol=1e-5)
    with pytest.raises(TypeError, match="float32"):
        dot(a[0].astype(jnp.float64), b[0].astype(jnp.float64))


def test_no_product_of_training_falls_back_to_float32():
    # Forward and both backward products of a batch: three in bfloat16, none in float32.
    z, w = draws((32, 16), (16, 16))
    axes = (((0,), (1,)), ((), ()))
    loss = lambda w, z: jnp.sum(jax.vmap(lambda v: rounded_dot(v, w, axes))(z) ** 2)  # noqa: E731
    text = jax.jit(jax.grad(loss, (0, 1))).lower(w, z).as_text()
    products = [line for line in text.splitlines() if "dot_general" in line]
    assert len(products) == 3
    assert all("xbf16>, tensor<" in line and "xf32>" in line for line in products)


def test_rounded_networks_forward_and_reverse():
    # Divergence in forward mode of a rounded network, and the gradient of the implicit loss,
    # against the same network in float32: hidden products are off by less than 2⁻⁷ each.
    noising = Brownian(Sphere(2))
    network = NetworkSpec(width=32, depth=3, fourier=8, time_features=2).build(
        3, 3, dtype=jnp.float32, key=jax.random.key(0)
    )
    x = jnp.asarray([0.6, 0.0, 0.8], jnp.float32)

    @quick
    def implicit(network):
        field = NetworkField(noising.manifold, network, AmbientOutput(), noising)

        def loss(field):
            value, div = value_and_divergence(lambda y: field(y, jnp.float32(0.2)), Sphere(2), x)
            return 0.5 * jnp.sum(value**2) + div

        value, grad = eqx.filter_value_and_grad(loss)(field)
        return value, jnp.concatenate([g.ravel() for g in jax.tree.leaves(grad)])

    fine, coarse = implicit(network), implicit(network.rounded())
    np.testing.assert_allclose(coarse[0], fine[0], atol=0.02)
    assert jnp.linalg.norm(coarse[1] - fine[1]) < 0.02 * jnp.linalg.norm(fine[1])
    assert coarse[0] != fine[0]


@pytest.mark.fault(41, "training with rounded products")
@pytest.mark.slow
def test_training_in_bfloat16_ends_where_float32_does(tmp_path):
    # Two narrow groups on a line: with spread 0.1 around ±1 the entropy is
    # log 2 + ½ log(2πe·0.01) = −0.191 nats.
    rng = np.random.default_rng(1)
    x = rng.choice([-1.0, 1.0], 800) + 0.1 * rng.normal(size=800)
    x = jnp.asarray(x[:, None], jnp.float32)
    found = []
    for products in ("float32", "bfloat16"):
        spec = NetworkSpec(width=16, depth=3, fourier=4, frequency=2.0, products=products)
        model = ScoreModel(default_noising(Euclidean(1), x[:600]), network=spec, s_min=1e-3)
        model, _ = fit(
            model, x[:600], key=jax.random.key(0), steps=600, batch_size=256, progress=False
        )
        found.append(-float(jnp.mean(model.density(x[600:], rtol=1e-3).log_prob)))
    # Another key moves the result by as much as 0.1, rounding by less than 0.001 for three keys.
    assert -0.25 < found[0] < 0.0
    assert abs(found[1] - found[0]) < 0.005
    # The model is saved with its option, and is the same in use as any other.
    save(tmp_path / "m", model)
    assert eqx.tree_equal(load(tmp_path / "m"), model)
    assert model.network.products == "bfloat16"
    assert all(type(layer) is eqx.nn.Linear for layer in model.field.network.layers)
    with pytest.raises((TypeError, ValueError), match="products"):
        NetworkSpec(products="float16")


def test_sine_is_sine():
    for top, bound in ((100.0, 2e-7), (1e4, 1e-5)):
        x = np.linspace(-top, top, 100001).astype(np.float32)
        wide = x.astype(np.float64)
        one = lambda f, x: jax.jit(jax.vmap(f))(jnp.asarray(x))  # noqa: E731
        np.testing.assert_allclose(one(sine, x), np.sin(wide), atol=bound)
        np.testing.assert_allclose(one(jax.grad(sine), x), np.cos(wide), atol=bound)
        np.testing.assert_allclose(one(jax.grad(jax.grad(sine)), x), -np.sin(wide), atol=bound)
    far = jnp.asarray([1e6, -1e9, 1e30, 3e38], jnp.float32)
    assert jnp.all(jnp.abs(sine(far)) < 1.1)
    np.testing.assert_array_equal(sine(jnp.asarray(wide)), jnp.sin(jnp.asarray(wide)))
    assert sine(jnp.ones(3, jnp.bfloat16)).dtype == jnp.bfloat16
