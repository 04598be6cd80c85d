"""Rows shared out among the devices of a mesh.

Work on many rows is the same program on one device and on many: rows lie in equal shares on the
devices, everything else lies on each of them. A mesh may have several axes; together they are the
axis of rows.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from scorefold._types import NumPyOrJax

R = TypeVar("R")

_CURRENT: ContextVar[Mesh | None] = ContextVar("mesh", default=None)


def device_mesh(devices: int | Literal["all"] = "all") -> Mesh:
    """A mesh of the first ``devices`` devices of JAX, with one axis, ``"rows"``.

    **Raises:** ``ValueError`` for more devices than there are; ``TypeError`` for anything but a
    whole number or ``"all"``.
    """
    found = jax.devices()
    if devices != "all" and (isinstance(devices, bool) or not isinstance(devices, int)):
        raise TypeError(f"devices: a whole number or 'all', got {devices!r:.40}.")
    count = len(found) if devices == "all" else devices
    if not 1 <= count <= len(found):
        kind = found[0].platform
        more = (
            " A processor counts as several with XLA_FLAGS="
            f"--xla_force_host_platform_device_count={count}, for trials: that makes no "
            "processor faster."
        )
        raise ValueError(
            f"devices: {count} asked for, and there {'is' if len(found) == 1 else 'are'} "
            f"{len(found)} ({kind})." + (more if kind == "cpu" and count > 1 else "")
        )
    return Mesh(np.asarray(found[:count]), ("rows",))


@contextmanager
def use_mesh(mesh: Mesh | None) -> Iterator[None]:
    """Within, whatever works on many rows shares them out among the devices of ``mesh``: ``fit``,
    ``log_prob``, ``score`` and ``sample`` of every model, transport in blocks.

        with sf.use_mesh(sf.device_mesh("all")):
            model, history = sf.fit(description, data, key=key)
            model.log_prob(points)

    Results are those of one device up to the order of sums; where an adaptive solver chooses its
    steps for a block of rows (densities and draws by ODEs), up to its tolerance. A number of rows
    that the devices do not divide is filled up with copies of the last row. Models come back as
    arrays of one device. With None, nothing changes. Threads that are started within do not
    inherit it.

    **Raises:** ``TypeError`` for what is no mesh of JAX.
    """
    if mesh is None:
        yield
        return
    if not isinstance(mesh, Mesh):
        raise TypeError(
            "mesh: give a jax.sharding.Mesh such as scorefold.device_mesh('all'), got "
            f"{type(mesh).__name__}."
        )
    kinds = (AxisType.Auto,) * len(mesh.axis_names)
    token = _CURRENT.set(Mesh(mesh.devices, mesh.axis_names, axis_types=kinds))
    try:
        yield
    finally:
        _CURRENT.reset(token)


@contextmanager
def one_device() -> Iterator[None]:
    """Within, work is done as without a mesh."""
    token = _CURRENT.set(None)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current_mesh() -> Mesh | None:
    """That of ``use_mesh``."""
    return _CURRENT.get()


# -- on the host -----------------------------------------------------------------------------------
def on_mesh() -> AbstractContextManager[object]:
    """In which programs are called, so that what is traced in them knows the mesh."""
    mesh = current_mesh()
    return nullcontext() if mesh is None else jax.set_mesh(mesh)


def fill(n: int) -> int:
    """Rows to add to n, so that devices have equal shares."""
    mesh = current_mesh()
    return 0 if mesh is None else -n % mesh.size


def shared_out(rows: NumPyOrJax) -> Array:
    """Rows in equal shares on the devices, or, without a mesh, where JAX puts them."""
    mesh = current_mesh()
    if mesh is None:
        return jax.device_put(rows)
    return _placed(rows, NamedSharding(mesh, PartitionSpec(mesh.axis_names)))


def everywhere(tree: R) -> R:
    """Every array on each device; as it is without a mesh."""
    mesh = current_mesh()
    if mesh is None:
        return tree
    place = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda a: _placed(a, place) if isinstance(a, jax.Array) else a, tree)


def _placed(a: NumPyOrJax, place: NamedSharding) -> Array:
    """An array that every process has, on the devices of all."""
    if place.is_fully_addressable:
        return jax.device_put(a, place)
    if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(
            _placed(jax.random.key_data(a), place), impl=jax.random.key_impl(a)
        )
    host = np.asarray(a)
    return jax.make_array_from_callback(host.shape, place, lambda part: host[part])


def fetched(tree: PyTree) -> PyTree:
    """NumPy arrays; those that lie on devices of several processes are gathered first."""

    def one(a: NumPyOrJax | float) -> np.ndarray:
        if isinstance(a, jax.Array) and not (a.is_fully_addressable or a.is_fully_replicated):
            return np.asarray(multihost_utils.process_allgather(a, tiled=True))
        return np.asarray(a)

    return jax.tree.map(one, tree)


def on_one_device(tree: R) -> R:
    """Arrays that were on each device of a mesh, where JAX puts arrays."""

    def one(a: Array) -> Array:
        if isinstance(a, jax.core.Tracer) or len(a.sharding.device_set) == 1:
            return a
        if jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
            data = jax.device_put(fetched(jax.random.key_data(a)))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(a))
        return jax.device_put(fetched(a))

    return jax.tree.map(lambda a: one(a) if isinstance(a, jax.Array) else a, tree)


# -- in programs -----------------------------------------------------------------------------------
def _traced_mesh() -> tuple[int, tuple[str, ...]] | None:
    """Devices of the mesh that a program is traced for, and its axes; None for one device, and
    within what each device computes by itself."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or any(kind is not AxisType.Auto for kind in mesh.axis_types):
        return None
    return mesh.size, mesh.axis_names


def devices_of_rows() -> int:
    """Devices that rows are shared out among, in the program that is traced."""
    traced = _traced_mesh()
    return 1 if traced is None else traced[0]


def rows_by_device(tree: R, axis: int = 0) -> R:
    """The tree, whose rows, along ``axis``, shall lie in shares on the devices wherever it is used
    next."""
    traced = _traced_mesh()
    if traced is None:
        return tree
    size, axes = traced
    place = PartitionSpec(*(None,) * axis, axes)

    def one(a: Array) -> Array:
        n = a.shape[axis]
        at = jnp.minimum(jnp.arange(n + -n % size), n - 1)
        whole = a if n % size == 0 else jnp.take(a, at, axis)
        spread = jax.lax.with_sharding_constraint(whole, place)
        return spread if n % size == 0 else jax.lax.slice_in_dim(spread, 0, n, axis=axis)

    return jax.tree.map(one, tree)


def same_on_each_device(tree: R) -> R:
    """The tree, whose arrays shall lie on each device."""
    if _traced_mesh() is None:
        return tree
    return jax.lax.with_sharding_constraint(tree, PartitionSpec())
