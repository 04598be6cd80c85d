"""What every law of paths through snapshots answers."""

from typing import Protocol, runtime_checkable

from scorefold._types import Key, NumPyOrJax, Values
from scorefold.manifolds import Manifold


@runtime_checkable
class SnapshotBridge(Protocol):
    """A law of paths that has the law of each snapshot at its time t_0 < … < t_K: ``times``;
    ``mass``: members of each, where they are known. ``MultiMarginalBridge``, ``SnapshotCurrent``
    and ``SplinePaths`` are such laws."""

    @property
    def manifold(self) -> Manifold: ...

    @property
    def times(self) -> tuple[float, ...]: ...

    @property
    def mass(self) -> tuple[int, ...] | None: ...

    def sample_at(self, key: Key, t: float, n: int) -> NumPyOrJax:
        """n draws of the law at time t, shape ``(n, *shape)``.

        **Raises:** ``ValueError`` for t outside [t_0, t_K].
        """
        ...

    def sample_paths(
        self, key: Key, x0: Values, at: Values, *, start: float | None = None
    ) -> NumPyOrJax:
        """Paths that are at ``x0``, shape ``(n, *shape)``, at the snapshot time ``start`` (default
        t_0): their states at the times ``at``, shape ``(n, len(at), *shape)``, later or earlier.

        **Raises:** ``ValueError`` for times outside [t_0, t_K] and a ``start`` that is none.
        """
        ...
