"""Versions of jaxlib that compute wrong numbers on processors, or wait for ever.

jaxlib 0.10.2 and 0.11.0 hand sums of products to a library (YNNPACK) in a way that mixes up rows:
Σ_j a_nj v_pnj / b_n can be wrong by its own size, in silence (jax-ml/jax, issues 39103, 39257).
An option of XLA turns that off; it is read when JAX first computes something.

Before 0.11.2 a batch of factorisations (``cholesky``, ``solve``, …) is divided among the threads of
XLA's pool by one of them, which then waits for the others. Where as many batches begin at once as
the pool has threads, all wait, for ever: two, on two cores. In a pool of more threads than there
are batches some are left to work. (More threads than cores take longer over many small products:
in 50 dimensions six on two cores a tenth to a fifth, sixteen twice and a half.)
"""

import functools
import importlib.metadata
import os
import re

from scorefold._warnings import warn

_WRONG, _RIGHT = ("0.10.2", "0.11.0"), ("0.10.0", "0.10.1")
_OPTION = "--xla_cpu_experimental_ynn_fusion_type"
_MENDED = (0, 11, 2)
"""The first version that waits for nothing, by the account of others; 0.10.1 was seen to wait."""
_SIZES = {"PJRT_NPROC", "NPROC"}
"""Variables that state the size of XLA's pool."""
_THREADS = 6
ADVICE = (
    f"Set XLA_FLAGS={_OPTION}= before Python starts, import scorefold before JAX computes "
    "anything, or install another jax (0.10.1)."
)


def avoid_wrong_sums() -> None:
    """Turn the option off for versions that are known to be wrong, unless it is stated."""
    flags = os.environ.get("XLA_FLAGS", "")
    if importlib.metadata.version("jaxlib") in _WRONG and _OPTION not in flags:
        # In front: XLA reads no further than the first word that is no option.
        os.environ["XLA_FLAGS"] = f"{_OPTION}= {flags}".strip()


def avoid_deadlocks() -> None:
    """Ask for a pool of ``_THREADS`` on fewer cores, for versions that need it, unless its size is
    stated. (One thread divides nothing.)"""
    if _release(importlib.metadata.version("jaxlib")) >= _MENDED or os.environ.keys() & _SIZES:
        return
    known = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    if 1 < cores < _THREADS:
        os.environ["PJRT_NPROC"] = str(_THREADS)


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@functools.cache
def warn_of_wrong_sums() -> None:
    """Compute two such sums, unless the version is known to be right, and warn where one is
    wrong."""
    version = importlib.metadata.version("jaxlib")
    if version in _RIGHT or sums_are_right():
        return
    warn(
        f"jaxlib {version} computes wrong sums on this processor: densities and everything made of "
        f"them can be wrong by any amount. {ADVICE}"
    )


def sums_are_right() -> bool:
    """Whether two sums of products that were seen to fail come out right here."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    n, p, d = 300, 64, 3
    with jax.ensure_compile_time_eval():
        a = np.sin(np.arange(n * d * d, dtype=np.float32)).reshape(n, d, d)
        v = np.cos(np.arange(p * n * d, dtype=np.float32)).reshape(p, n, d)
        b = 1.5 + np.sin(np.arange(n * d, dtype=np.float32)).reshape(n, d)
        sums = jax.jit(lambda a, v, b: jnp.sum(a[None] * v[:, :, None, :], -1) / b[None])
        first = np.abs(np.asarray(sums(a, v, b)) - np.einsum("nij,pnj->pni", a, v) / b).max()
        rows = np.arange(32_769 * d, dtype=np.float32).reshape(-1, d) / 1e4
        squares = jax.jit(jax.vmap(lambda x: jnp.sum((jnp.eye(d, dtype=x.dtype) @ x) ** 2)))
        second = np.abs(np.asarray(squares(rows)) / np.sum(rows**2, axis=1).clip(1e-9) - 1).max()
    return bool(first < 1e-3 and second < 1e-3)
