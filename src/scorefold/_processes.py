"""Several processes that compute one thing on one mesh: what they must decide alike.

Each runs the same program on the same data. What depends on a clock or on a signal is decided by
one of them, or by all together; files are written by the first.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import jax
import numpy as np
from jax.experimental import multihost_utils

from scorefold._blocks import listed
from scorefold._mesh import current_mesh


def several() -> bool:
    """Whether the mesh has devices of several processes."""
    mesh = current_mesh()
    return mesh is not None and mesh.is_multi_process


def leads() -> bool:
    """Whether this process writes files and shows progress: always, if it is alone."""
    return not several() or jax.process_index() == 0


def of_the_first(*numbers: int | float) -> tuple[int | float, ...]:
    """The numbers of the first process."""
    if not several():
        return numbers
    # 64-bit numbers as they are: arrays of JAX may have 32 bits.
    words = np.asarray(numbers, np.float64).view(np.uint32)
    found = np.asarray(multihost_utils.broadcast_one_to_all(words), np.uint32)
    return tuple(float(x) for x in found.view(np.float64))


def largest(number: int) -> int:
    """The largest of the numbers of all processes."""
    if not several():
        return number
    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


def wait_for_all() -> None:
    """Until every process is here."""
    if several():
        multihost_utils.sync_global_devices("scorefold: all are here")


@contextmanager
def first_before_others() -> Iterator[None]:
    """The first process goes through, then the others."""
    if not several():
        yield
        return
    if jax.process_index() > 0:
        multihost_utils.sync_global_devices("scorefold: the first is through")
        yield
        return
    try:
        yield
    finally:
        multihost_utils.sync_global_devices("scorefold: the first is through")


def require_same(identity: Mapping[str, str]) -> None:
    """**Raises:** ``ValueError`` naming what is not the same in all processes."""
    if not several():
        return
    digests = [hashlib.sha256(f"{k}: {v}".encode()).digest() for k, v in identity.items()]
    count = np.asarray(multihost_utils.process_allgather(np.int32(len(digests))))
    same = np.zeros(0, bool)
    if np.ptp(count) == 0:
        table = np.stack([np.frombuffer(d, np.uint8) for d in digests])
        every = np.asarray(multihost_utils.process_allgather(table))
        same = (every == every[:1]).all(axis=(0, 2))
    if not same.all() or len(same) == 0:
        names = np.asarray(list(identity))[~same] if len(same) else ["the kind of model"]
        raise ValueError(
            f"The processes were started with different things: {listed(names)}. Each needs the "
            "same data, settings and key."
        )
