"""Passes of a network, counted in the program that JAX traces."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import jax
from jax.core import ShapedArray
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Primitive, Var
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, PyTree

from scorefold._types import Scalar
from scorefold.fields import Network

T = TypeVar("T")


class Work(NamedTuple):
    """What a program does.

    - ``value``: evaluations of a network;
    - ``forward``: Jacobian–vector products of one;
    - ``reverse``: vector–Jacobian products, of an evaluation or of a Jacobian–vector product;
    - ``products``: multiply–adds in products of matrices, of networks and of all else.
    """

    value: float = 0.0
    forward: float = 0.0
    reverse: float = 0.0
    products: float = 0.0

    @property
    def passes(self) -> float:
        return self.value + self.forward + self.reverse

    def times(self, factor: float) -> Work:
        return Work(*(factor * part for part in self))

    def plus(self, other: Work) -> Work:
        return Work(*map(sum, zip(self, other, strict=True)))


def count_work(function: Callable, *args: PyTree) -> Work:
    """The work of ``function(*args)``, whose networks are ``counted``.

    Bodies of scans count as often as they run, and of two branches the larger one. How often the
    body of a while loop runs is not written in a program: it counts once, so that a solver's work
    is that of a step. What is mapped over counts once for each row. No number is computed."""
    return _work(jax.make_jaxpr(function)(*args).jaxpr)


def counted(tree: T) -> T:
    """The same tree, with networks whose passes are seen by ``count_work``."""
    return jax.tree.map(
        lambda leaf: CountedNetwork(leaf) if isinstance(leaf, Network) else leaf,
        tree,
        is_leaf=lambda leaf: isinstance(leaf, Network),
    )


class CountedNetwork(Network):
    """A network whose answer goes through a primitive that does nothing. The primitive is linear,
    so that its tangents and cotangents go through it as well, and leave their mark."""

    network: Network

    def __call__(self, h: Array, s: Scalar) -> Array:
        answer = self.network(h, s)
        return _mark.bind(answer, size=answer.size, mode="value")

    def with_zero_output(self) -> CountedNetwork:
        return CountedNetwork(self.network.with_zero_output())


_mark = Primitive("network_pass")


@_mark.def_abstract_eval
def _abstract(x: ShapedArray, *, size: int, mode: str) -> ShapedArray:
    return x


def _push(primals: tuple, tangents: tuple, *, size: int, mode: str) -> tuple:
    (x,), (t,) = primals, tangents
    y = _mark.bind(x, size=size, mode=mode)
    if isinstance(t, ad.Zero):
        return y, t
    return y, _mark.bind(t, size=size, mode="forward" if mode == "value" else mode)


def _pull(ct: Array | ad.Zero, x: object, *, size: int, mode: str) -> list:
    return [ct if isinstance(ct, ad.Zero) else _mark.bind(ct, size=size, mode="reverse")]


def _batch(args: tuple, dims: tuple, *, size: int, mode: str) -> tuple:
    return _mark.bind(*args, size=size, mode=mode), dims[0]


_mark.def_impl(lambda x, **_: x)
mlir.register_lowering(_mark, lambda context, x, **_: [x])
ad.primitive_jvps[_mark] = _push
ad.primitive_transposes[_mark] = _pull
batching.primitive_batchers[_mark] = _batch


def _work(program: Jaxpr) -> Work:
    found = Work()
    for equation in program.eqns:
        name, parameters = equation.primitive.name, equation.params
        if name == "network_pass":
            rows = math.prod(_shape(equation.invars[0])) / parameters["size"]
            found = found.plus(Work(**{parameters["mode"]: rows}))
        elif name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            left, out = _shape(equation.invars[0]), _shape(equation.outvars[0])
            inner = math.prod(left[i] for i in contracted)
            found = found.plus(Work(products=float(inner * math.prod(out))))
        else:
            inside = [_work(inner) for inner in _inner(parameters)]
            if name == "cond" and inside:
                inside = [max(inside, key=lambda work: (work.passes, work.products))]
            often = float(parameters["length"]) if name == "scan" else 1.0
            for work in inside:
                found = found.plus(work.times(often))
    return found


def _shape(variable: Var | Literal) -> tuple[int, ...]:
    aval = variable.aval
    return aval.shape if isinstance(aval, ShapedArray) else ()


def _inner(parameters: dict) -> Iterator[Jaxpr]:
    """The programs inside of an equation."""
    for value in parameters.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if isinstance(part, ClosedJaxpr):
                yield part.jaxpr
            elif isinstance(part, Jaxpr):
                yield part
