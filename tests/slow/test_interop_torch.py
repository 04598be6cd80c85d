"""Tensors of PyTorch at every door that takes points, and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from optional import package

import scorefold as sf
from scorefold.bridges import brownian_reference, interpolate_snapshots
from scorefold.data import HeatMixture, plain_coordinates
from scorefold.interop.torch import from_torch, to_torch
from scorefold.manifolds.neighbours import nearest, pairwise
from scorefold.manifolds.points import exact_points
from scorefold.metrics import held_out, wasserstein
from scorefold.regions import credible_region

torch = package("torch")
PLANE = sf.Euclidean(2)
KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(40, 2))
Y = X[::-1] + np.array([1.0, 0.0])


@pytest.fixture(scope="module")
def model():
    return sf.fit(sf.KernelModel(PLANE), X, key=KEY, steps=2, progress=False)[0]


@pytest.fixture(scope="module")
def bridge():
    return sf.fit_bridge(sf.LightBridge(brownian_reference(PLANE, 0.3)), X, Y, key=KEY, steps=2,
                         progress=False)[0]  # fmt: skip


DOORS = {
    "check_points": lambda x, model, bridge: sf.check_points(PLANE, x),
    "exact_points": lambda x, model, bridge: exact_points(PLANE, x),
    "log_prob": lambda x, model, bridge: model.log_prob(x),
    "score": lambda x, model, bridge: model.score_at(0.1, x),
    "law": lambda x, model, bridge: HeatMixture(PLANE, [[0.0, 0.0]], 1.0).log_prob(x),
    "fit": lambda x, model, bridge: sf.fit(
        sf.KernelModel(PLANE), x, val=x, key=KEY, steps=2, progress=False)[0].log_prob(X),
    "fit_bridge": lambda x, model, bridge: sf.fit_bridge(
        sf.LightBridge(brownian_reference(PLANE, 0.3)), x, Y, key=KEY, steps=2,
        progress=False)[0].drift(0.5, X),
    "drift": lambda x, model, bridge: bridge.drift(0.5, x),
    "forward": lambda x, model, bridge: bridge.sample_forward(KEY, x, steps=5),
    "flow": lambda x, model, bridge: bridge.flow(x, steps=5),
    "held_out": lambda x, model, bridge: held_out(model, x).nll,
    "wasserstein": lambda x, model, bridge: wasserstein(PLANE, x, Y, key=KEY).value,
    "nearest": lambda x, model, bridge: nearest(PLANE, x, Y, 2)[1],
    "pairwise": lambda x, model, bridge: pairwise(PLANE, x, Y),
    "region": lambda x, model, bridge: credible_region(
        model, 0.5, key=KEY, n=100).contains(x),
    "columns": lambda x, model, bridge: plain_coordinates(PLANE).to_columns(x),
    "snapshots": lambda x, model, bridge: interpolate_snapshots(
        PLANE, [0.0, 1.0], [x, torch.as_tensor(Y)], key=KEY).sample_at(KEY, 0.5, 9),
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_a_tensor_is_its_numbers(door, model, bridge):
    """What comes out is, to the bit, what the NumPy array of the same memory gives: contiguous or
    not (sums then run in another order)."""
    for array in (X, np.asfortranarray(X)):
        expected = DOORS[door](array, model, bridge)
        tensor = torch.as_tensor(array)
        assert tensor.is_contiguous() == (array is X)
        np.testing.assert_array_equal(DOORS[door](tensor, model, bridge), expected)


@pytest.mark.parametrize("door", DOORS)
def test_a_recorded_gradient_is_refused(door, model, bridge):
    with pytest.raises((ValueError, RuntimeError), match=r"detach\(\)") as error:
        DOORS[door](torch.as_tensor(X.copy()).requires_grad_(), model, bridge)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (lambda: torch.empty(3, 2, device="meta"), r"x: a tensor on meta: give x\.cpu\(\)"),
        (lambda: torch.eye(2).to_sparse(), r"layout torch\.sparse_coo: give x\.to_dense\(\)"),
        (lambda: torch.zeros(3, 2, dtype=torch.complex64), "real numbers are needed"),
        (lambda: torch.zeros(3, 2, dtype=torch.bool), "real numbers are needed"),
        (lambda: torch.quantize_per_tensor(torch.zeros(3, 2), 0.1, 0, torch.qint8),
         r"quantised tensor: give x\.dequantize\(\)"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_points(tensor, said):
    with pytest.raises(ValueError, match=said) as error:
        sf.check_points(PLANE, tensor(), "x")
    assert "\n" not in str(error.value)


def test_dtypes_and_memory():
    """float32, float64 and integers to the digit, by DLPack over the same memory; half precision
    as the float32 of its numbers."""
    for dtype in (torch.float32, torch.float64, torch.int32):
        tensor = (torch.arange(12.0) / 3).reshape(6, 2).to(dtype)
        array = from_torch(tensor)
        np.testing.assert_array_equal(array, tensor.numpy())
        assert array.unsafe_buffer_pointer() == tensor.data_ptr()
        back = to_torch(array)
        assert back.dtype == dtype and back.data_ptr() == tensor.data_ptr()
        assert to_torch(array, copy=True).data_ptr() != tensor.data_ptr()
        np.testing.assert_array_equal(from_torch(tensor.T), tensor.numpy().T)
    half = torch.tensor([0.1, 1e-3, 7.0], dtype=torch.bfloat16)
    np.testing.assert_array_equal(from_torch(half), half.float().numpy())
    constant = np.broadcast_to(np.arange(3.0), (2, 3))
    np.testing.assert_array_equal(to_torch(constant), constant)
    negative = torch.imag(torch.conj(torch.complex(torch.ones(2), torch.ones(2))))
    np.testing.assert_array_equal(sf.check_points(PLANE, negative), [-1.0, -1.0])
    with pytest.raises(TypeError, match=r"outside of jax\.jit"):
        jax.jit(to_torch)(jnp.ones(2))
    with pytest.raises(TypeError, match="a tensor of PyTorch, got list"):
        from_torch([1.0])


@pytest.mark.usefixtures("settings_of_users")
def test_digits_that_would_be_lost(model):
    """JAX of 32 bits: a model takes 64-bit tensors as it takes such arrays; an array of JAX cannot
    hold them, and one line says so."""
    with pytest.raises(ValueError, match=r"JAX would keep float32: .*\.float\(\)"):
        from_torch(torch.zeros(2, dtype=torch.float64))
    with pytest.raises(ValueError, match=r"int64, of which JAX would keep int32"):
        from_torch(torch.zeros(2, dtype=torch.int64))
    far = torch.as_tensor(X + 1e7)
    found = exact_points(PLANE, far)
    assert isinstance(found, np.ndarray) and found.dtype == np.float64
    np.testing.assert_array_equal(found, far.numpy())
