"""PyTorch: tensors of points in and out, over the same memory where that can be.

Every function of scorefold that takes points takes a tensor on the processor as it stands. This
file has the way back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device, is_traced
from scorefold._foreign import plain
from scorefold._types import Values
from scorefold.interop._needed import needed

if TYPE_CHECKING:
    from torch import Tensor


def to_torch(x: Values, *, copy: bool = False) -> Tensor:
    """A tensor of the same numbers, shape, dtype and device, by DLPack, without gradients.

        to_torch(model.sample(jax.random.key(0), 100))

    **Arguments:** ``copy``: False: the tensor shares the memory of ``x`` where it can; JAX takes
    its arrays to be constant, so do not write to it. True: memory of its own.
    **Raises:** ``TypeError`` inside of ``jax.jit``, where there are no numbers yet.
    """
    torch = needed("torch", "torch")
    if is_traced(x):
        raise TypeError("x: is traced: call to_torch outside of jax.jit, on what it returns.")
    if isinstance(x, jax.Array):
        made = torch.from_dlpack(x)
        return made.clone() if copy else made
    array = np.asarray(plain("x", x))
    return torch.from_numpy(array.copy() if copy or not array.flags.writeable else array)


def from_torch(x: Tensor, name: str = "x") -> Array:
    """A tensor as an array of JAX of the same dtype, over the same memory if it is contiguous: do
    not write to the tensor as long as the array is used.

    **Raises:** ``ValueError`` in one line for a tensor whose gradient is recorded, that is on a
    device or sparse, and for one whose digits JAX would drop (float64, int64 with 32-bit numbers).
    """
    torch = needed("torch", "torch")
    if not isinstance(x, torch.Tensor):
        raise TypeError(f"{name}: a tensor of PyTorch, got {type(x).__name__}.")
    array = np.asarray(plain(name, x))
    kept = jax.dtypes.canonicalize_dtype(array.dtype)
    if kept != array.dtype:
        shorter = "float" if array.dtype.kind == "f" else "int"
        raise ValueError(
            f"{name}: a tensor of {x.dtype}, of which JAX would keep {kept.name}: "
            f"jax.config.update('jax_enable_x64', True), or give {name}.{shorter}()."
        )
    return jax.dlpack.from_dlpack(array) if array.flags.c_contiguous else device(array)
