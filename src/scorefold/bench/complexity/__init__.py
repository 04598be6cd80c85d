"""Tables 2 and 4 of De Bortoli et al. 2022: what losses and phases cost, counted and measured."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import equinox as eqx
import jax
from jaxtyping import Array, PyTree

from scorefold._compile import quick_jit
from scorefold.bench.complexity.counting import Work, count_work, counted
from scorefold.bench.complexity.growth import growth_figure, growth_lines
from scorefold.bench.complexity.programs import (
    CASES,
    PHASES,
    SOLVER_STEPS,
    STEPS,
    Program,
    points,
    program,
    trainer_of,
)
from scorefold.bench.contract import (
    Cell,
    Figures,
    Length,
    Measurement,
    Result,
    Table,
    TableMeasure,
    TableRequest,
)
from scorefold.bench.fitted import points_hash
from scorefold.fields import NetworkSpec
from scorefold.fitting import Trainer
from scorefold.manifolds import Manifold, Sphere, Torus

_TORI = tuple(Torus(d) for d in (1, 2, 5, 10, 20, 50, 100, 200))
_SPHERES = tuple(Sphere(d) for d in (2, 5, 12))
_MANIFOLDS: dict[str, Manifold] = {m.name: m for m in (*_TORI, *_SPHERES)}
_QUICK = ("T^2", "T^5", "T^10")
_QUICK_METHODS = (
    "denoising, exact", "implicit, exact", "implicit, Hutchinson", "score model", "Moser flow",
)  # fmt: skip
_NETWORKS: dict[Length, NetworkSpec] = {
    "quick": NetworkSpec(width=32, depth=2, fourier=8),
    "default": NetworkSpec(width=128, depth=3, fourier=64),
    "full": NetworkSpec(width=512, depth=5, fourier=0),
}
_POINTS: dict[Length, int] = {"quick": 16, "default": 32, "full": 512}
_LEAST_SECONDS: dict[Length, float] = {"quick": 0.02, "default": 0.3, "full": 1.0}
_MOST_PRODUCTS: dict[Length, float] = {"quick": 1e10, "default": 3e12, "full": 1e15}
_MOST_BYTES: dict[Length, float] = {"quick": 1e9, "default": 4e9, "full": 6e10}
_MEGABYTE = 1e6


def _cells(request: TableRequest) -> Iterator[Cell]:
    quick = request.length == "quick"
    names = _QUICK if quick and request.data is None else tuple(_MANIFOLDS)
    skipped = "loss" if quick and request.protocols is None else ""
    for name in names:
        for method, case in CASES.items():
            for phase in case.published:
                if phase == skipped:
                    continue
                make = functools.partial(_measure, request.length, name, phase, method)
                yield Cell(name, phase, method, 0, make)


def _measure(length: Length, name: str, phase: str, method: str) -> Measurement:
    started, case = time.perf_counter(), CASES[method]
    manifold, trainer, x = _trainer(length, name, method)
    work, total = _counted(program(phase, case, counted(trainer), x))
    one = _one_pass(trainer)
    values: dict[str, float | None] = {
        "passes": work.passes, "value": work.value, "forward": work.forward,
        "reverse": work.reverse, "products": work.products / one,
        "milliseconds": None, "megabytes": None,
    }  # fmt: skip
    missing, compiling = {}, None
    if total > _MOST_PRODUCTS[length]:
        why = f"{total:.1g} multiply–adds, more than this length allows"
        missing = dict.fromkeys(("milliseconds", "megabytes"), why)
    else:
        since = time.perf_counter()
        found = program(phase, case, trainer, x)
        lowered = quick_jit(found.function).lower(*found.arguments)  # type: ignore[attr-defined]
        compiled = lowered.compile()
        compiling = time.perf_counter() - since
        memory = float(compiled.compiled.memory_analysis().temp_size_in_bytes)
        values["megabytes"] = memory / _MEGABYTE
        if memory > _MOST_BYTES[length]:
            missing["milliseconds"] = f"{memory / 1e9:.0f} GB, more than this length allows"
        else:
            seconds = _seconds(compiled, found.arguments, _LEAST_SECONDS[length])
            values["milliseconds"] = 1e3 * seconds / found.repeats
    return Measurement(
        values,
        seconds=time.perf_counter() - started,
        compile_seconds=compiling,
        parameters=_numbers(trainer),
        split=points_hash(x),
        missing=missing,
        more={"d": manifold.dim, "points": len(x), "products_of_a_pass": one},
    )


@functools.lru_cache(maxsize=1)
def _trainer(length: Length, name: str, method: str) -> tuple[Manifold, Trainer, Array]:
    """The phases of a method are measured one after the other."""
    manifold, case = _MANIFOLDS[name], CASES[method]
    x = points(manifold, _POINTS[length])
    return manifold, trainer_of(case, manifold, _NETWORKS[length], x), x


def _counted(found: Program) -> tuple[Work, float]:
    """The work for a point and a step, and all multiply–adds of the program."""
    whole = count_work(found.function, *found.arguments)
    runs = 1 if found.loops else found.repeats
    total = whole.products * (found.repeats if found.loops else 1)
    return whole.times(1.0 / (found.points * runs)), total


def _one_pass(trainer: Trainer) -> float:
    """Multiply–adds of the layers of the network."""
    arrays = jax.tree.leaves(eqx.filter(_trained(trainer), eqx.is_array))
    return float(sum(a.size for a in arrays if a.ndim == 2))


def _trained(trainer: PyTree) -> PyTree:
    field = getattr(trainer, "field", None) or trainer.displacement
    return field.network.layers


def _numbers(trainer: PyTree) -> int:
    return sum(int(a.size) for a in jax.tree.leaves(eqx.filter(_trained(trainer), eqx.is_array)))


def _seconds(compiled: Callable, arguments: tuple, least: float) -> float:
    """The shortest of three runs or more, after one that does not count; of ``least`` seconds
    together."""
    jax.block_until_ready(compiled(*arguments))
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < least:
        since = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        taken.append(time.perf_counter() - since)
        if sum(taken) > 10.0:
            break
    return min(taken)


def _caption(runs: Sequence[Result]) -> list[str]:
    if not runs:
        return []
    n = runs[0].more["points"]
    return ["\n\n".join((
        f"Passes of the network for a point, counted in the program that JAX traces: evaluations, "
        f"Jacobian–vector and vector–Jacobian products. In a step of training, which asks for "
        f"weights too, a vector–Jacobian product takes the matrix products of two evaluations; "
        f"others take those of one. Milliseconds for {n} points: the shortest "
        f"of several runs. Megabytes: buffers of the compiled program beside its arguments, for "
        f"{n} points. Of sampling a step is measured, the mean of {STEPS}; of a likelihood an "
        f"evaluation of velocity and divergence by the solver of order 5, exact unless Hutchinson "
        f"is said. A continuous flow is trained through N = {SOLVER_STEPS} steps of order 4; a "
        f"Moser flow has one uniform point (K = 1) for each data point.",
        *growth_lines(runs),
    ))]  # fmt: skip


def _figures(runs: Sequence[Result], folder: Path) -> Figures:
    if runs:
        yield "growth", growth_figure(runs)


TABLE = Table(
    name="complexity",
    title="What losses and phases cost",
    measures={
        "passes": TableMeasure("network passes a point", digits=0),
        "milliseconds": TableMeasure("milliseconds", digits=3),
        "megabytes": TableMeasure("megabytes", digits=3),
        "value": TableMeasure("of these evaluations", shown=False),
        "forward": TableMeasure("Jacobian–vector products", shown=False),
        "reverse": TableMeasure("vector–Jacobian products", shown=False),
        "products": TableMeasure("matrix products, in those of a pass", shown=False),
    },
    data=tuple(_MANIFOLDS),
    protocols=PHASES,
    methods=tuple(CASES),
    cells=_cells,
    usual={"quick": _QUICK_METHODS},
    caption=_caption,
    figures=_figures,
    seeded=False,
)
