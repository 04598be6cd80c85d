"""Compiling for less time where the work is in matrix products, which are a library's."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from scorefold._blocks import inside_jit, is_traced

P = ParamSpec("P")
R = TypeVar("R")


def quick_jit(function: Callable[P, R], level: int = 1, donate: str = "none") -> Callable[P, R]:
    """``eqx.filter_jit(function, donate=donate)`` that compiles in less time.

    On a processor: LLVM's level ``level`` of optimisation, and XLA's older emitters, which put a
    whole loop into one function. On the training step of the default network level 1 takes a
    third off the processor time of compiling and the emitters another third (3.6 s against 2.2),
    and a step takes no longer. Level 0 is for programs that run once. Inside a transformation the
    options are those of the program around it.
    """
    return _jitted(function, level, donate, jax.default_backend())


@functools.cache
def _jitted(function: Callable[P, R], level: int, donate: str, backend: str) -> Callable[P, R]:
    # The overloads of filter_jit leave out the options that it hands on to jax.jit.
    jit: Callable = eqx.filter_jit
    options = _options(level) if backend == "cpu" else None
    compiled = jit(function, donate=donate, compiler_options=options)
    inside = jit(function)

    @functools.wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> R:
        traced = is_traced((args, named)) or inside_jit()
        return (inside if traced else compiled)(*args, **named)

    call.lower = compiled.lower  # type: ignore[attr-defined]
    return call


@functools.cache
def _options(level: int) -> dict[str, int | bool]:
    """As far as this XLA knows them: it refuses names that are new to it or gone."""
    options: dict[str, int | bool] = {"xla_backend_optimization_level": level}
    known = {**options, "xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(jnp.negative, compiler_options=known).lower(1.0).compile()
    except jax.errors.JaxRuntimeError:
        return options
    return known


def trace_settings() -> tuple:
    """What tracing depends on and another thread may see differently: contexts such as
    ``jax.enable_x64()`` do not reach it."""
    names = ("enable_x64", "numpy_dtype_promotion", "numpy_rank_promotion",
             "default_matmul_precision", "debug_nans")  # fmt: skip
    return tuple(getattr(jax.config, f"jax_{name}") for name in names)
