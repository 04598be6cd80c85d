"""Matrix products of float32 arrays whose factors are rounded to bfloat16 on the way in."""

import math
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

# ((contracted of a, of b), (batch of a, of b)), as in ``jax.lax.dot_general``.
Axes = tuple[tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]]


class RoundedLinear(eqx.Module):
    """z ↦ Wz + b of a linear layer, the product by ``rounded_dot``."""

    layer: eqx.nn.Linear

    def __call__(self, z: Array) -> Array:
        out = rounded_dot(z, self.layer.weight, (((0,), (1,)), ((), ())))
        return out if self.layer.bias is None else out + self.layer.bias


def rounded_dot(a: Array, b: Array, axes: Axes) -> Array:
    """Σ_k r(a_k) r(b_k), r the rounding to bfloat16 (8 bits); the sums in float32.

    The products of the derivative are of the same kind: cotangents are rounded too, and so are
    tangents, so that forward mode is the derivative that reverse mode is. Each factor is off by
    at most 2⁻⁸ of its size, so |error| ≤ (2⁻⁷ + 2⁻¹⁶) Σ |a_k b_k| beside the rounding of float32
    sums. Processors with instructions for it, and accelerators, multiply bfloat16 several times
    as fast as float32. Works under ``grad``, ``jvp``, ``linearize`` and ``vmap``, to any order.

    **Arguments:** ``a``, ``b``: float32; ``axes``: as ``dimension_numbers`` in
    ``jax.lax.dot_general``, whose result has the shape of this one.
    **Raises:** ``TypeError`` for other dtypes.
    """
    if a.dtype != jnp.float32 or b.dtype != jnp.float32:
        raise TypeError(f"rounded_dot multiplies float32 arrays, got {a.dtype} and {b.dtype}.")
    return _rounded_dot.bind(a, b, axes=axes)


_rounded_dot = Primitive("rounded_dot")


@_rounded_dot.def_abstract_eval
def _abstract(a: ShapedArray, b: ShapedArray, *, axes: Axes) -> ShapedArray:
    (ka, kb), (ba, bb) = axes
    free = [x.shape[i] for x, used in ((a, ka + ba), (b, kb + bb)) for i in _rest(x.ndim, used)]
    return a.update(shape=tuple([a.shape[i] for i in ba] + free))


def _product(a: Array, b: Array, *, axes: Axes) -> Array:
    """As one product of two matrices, or of two stacks, with the contracted axis of the left one
    last: the form for which XLA's processor library has a kernel."""
    (ka, kb), (ba, bb) = axes
    fa, fb = _rest(a.ndim, ka, ba), _rest(b.ndim, kb, bb)
    shape = [a.shape[i] for i in (*ba, *fa)] + [b.shape[i] for i in fb]
    n = math.prod(a.shape[i] for i in ba)
    k = math.prod(a.shape[i] for i in ka)
    lead, left = ([n], [0]) if ba else ([], [])
    at = len(left)
    x, y = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
    x = _moved(x, (*ba, *fa, *ka), [*lead, -1, k])
    if (*bb, *fb, *kb) == tuple(range(b.ndim)):
        y, side = y.reshape([*lead, -1, k]), at + 1
    else:
        y, side = jnp.transpose(y, (*bb, *kb, *fb)).reshape([*lead, k, -1]), at
    out = jax.lax.dot_general(
        x, y, (((at + 1,), (side,)), (left, left)), preferred_element_type=jnp.float32
    )
    return out.reshape(shape)


def _moved(x: Array, order: tuple[int, ...], shape: list[int]) -> Array:
    """The axes in another order, and another shape. One axis is cut in two before and mended
    after: XLA would take a plain transposition into the product, for which its processor library
    has no bfloat16 kernel."""
    if order == tuple(range(x.ndim)):
        return x.reshape(shape)
    axis = max(range(x.ndim), key=lambda i: (x.shape[i] % 2 == 0, x.shape[i]))
    if x.shape[axis] % 2:
        return jnp.transpose(x, order).reshape(shape)
    cut = x.reshape(*x.shape[:axis], 2, x.shape[axis] // 2, *x.shape[axis + 1 :])
    parts = {axis: (axis, axis + 1)}
    later = [j for i in order for j in parts.get(i, (i + (i > axis),))]
    return jnp.transpose(cut, later).reshape(shape)


def _rest(ndim: int, *used: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i in range(ndim) if not any(i in axes for axes in used))


def _batch(args: tuple, dims: tuple, *, axes: Axes) -> tuple[Array, int]:
    a, b = (x if d is None else jnp.moveaxis(x, d, 0) for x, d in zip(args, dims, strict=True))
    (ka, kb), (ba, bb) = axes
    later = lambda group: tuple(i + 1 for i in group)  # noqa: E731
    if dims[0] is not None and dims[1] is not None:
        inside = ((later(ka), later(kb)), ((0, *later(ba)), (0, *later(bb))))
        return _rounded_dot.bind(a, b, axes=inside), 0
    if dims[0] is not None:
        inside = ((later(ka), kb), (later(ba), bb))
        return _rounded_dot.bind(a, b, axes=inside), len(ba)
    inside = ((ka, later(kb)), (ba, later(bb)))
    return _rounded_dot.bind(a, b, axes=inside), a.ndim - len(ka)


@runtime_checkable
class Unknown(Protocol):
    """The factor that a cotangent is asked of, known by its shape alone."""

    aval: ShapedArray


def _cotangent_of_left(ct: Array, a: Unknown, b: Array, *, axes: Axes) -> Array:
    (ka, kb), (ba, bb) = axes
    fa, fb = _rest(a.aval.ndim, ka, ba), _rest(b.ndim, kb, bb)
    n, m = len(ba), len(ba) + len(fa)
    batch, ours = tuple(range(n)), tuple(range(m, m + len(fb)))
    out = _rounded_dot.bind(ct, b, axes=((ours, fb), (batch, bb)))
    # Axes of the result: batch, free of a, then those contracted, in the order they have in b.
    contracted = [i for _, i in sorted(zip(kb, ka, strict=True))]
    return jnp.transpose(out, _inverse([*ba, *fa, *contracted]))


def _cotangent_of_right(ct: Array, a: Array, b: Unknown, *, axes: Axes) -> Array:
    (ka, kb), (ba, bb) = axes
    fa, fb = _rest(a.ndim, ka, ba), _rest(b.aval.ndim, kb, bb)
    n, m = len(ba), len(ba) + len(fa)
    batch, ours = tuple(range(n)), tuple(range(n, m))
    out = _rounded_dot.bind(ct, a, axes=((ours, fa), (batch, ba)))
    contracted = [j for _, j in sorted(zip(ka, kb, strict=True))]
    return jnp.transpose(out, _inverse([*bb, *fb, *contracted]))


def _inverse(order: list[int]) -> list[int]:
    return sorted(range(len(order)), key=order.__getitem__)


_rounded_dot.def_impl(jax.jit(_product, static_argnames="axes"))
mlir.register_lowering(_rounded_dot, mlir.lower_fun(_product, multiple_results=False))
batching.primitive_batchers[_rounded_dot] = _batch
ad.defbilinear(_rounded_dot, _cotangent_of_left, _cotangent_of_right)
