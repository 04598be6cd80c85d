"""Points as other packages hold them: tensors of PyTorch, rotations of SciPy, masked arrays.

None of these packages is imported here: an object of a package shows that the package is.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from scorefold._blocks import listed
from scorefold._types import Values

if TYPE_CHECKING:
    from torch import Tensor


def plain(name: str, x: Values) -> Values:
    """``x`` as NumPy can read it, without a copy where it can be: a tensor as the NumPy array over
    the same memory, a ``Rotation`` as its matrices; everything else as it is.

    **Raises:** ``ValueError`` in one line with the remedy: for tensors whose gradient is recorded,
    that lie on a device, that are sparse or quantised; for masked entries, naming the rows.
    """
    if isinstance(x, np.ma.MaskedArray):
        return _unmasked(name, x)
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(x, torch.Tensor):
        return _array_of_tensor(name, x, torch)
    scipy = sys.modules.get("scipy.spatial.transform")
    if scipy is not None and isinstance(x, scipy.Rotation):
        return np.asarray(x.as_matrix())
    return x


def _unmasked(name: str, x: np.ma.MaskedArray) -> np.ndarray:
    hidden = np.ma.getmaskarray(x)
    if hidden.any():
        bad = np.flatnonzero(hidden.reshape(len(hidden), -1).any(axis=1)) if x.ndim else [0]
        raise ValueError(
            f"{name}: {len(bad)} rows have masked entries (rows {listed(bad)}): leave them out, "
            f"or fill them ({name}.filled(…))."
        )
    return x.data


def _array_of_tensor(name: str, x: Tensor, torch: ModuleType) -> np.ndarray:
    """The memory of a tensor as a NumPy array, contiguous or not; bfloat16 as float32, which holds
    all of its digits."""
    if x.requires_grad:
        raise ValueError(
            f"{name}: a tensor that requires grad, and gradients do not pass from JAX to PyTorch: "
            f"give {name}.detach()."
        )
    if x.device.type != "cpu":
        raise ValueError(f"{name}: a tensor on {x.device}: give {name}.cpu().")
    if x.layout != torch.strided:
        raise ValueError(f"{name}: a tensor of layout {x.layout}: give {name}.to_dense().")
    if x.is_quantized:
        raise ValueError(f"{name}: a quantised tensor: give {name}.dequantize().")
    if x.dtype.is_floating_point and x.dtype.itemsize <= 2 and x.dtype != torch.float16:
        x = x.float()
    return x.resolve_conj().resolve_neg().numpy()
