"""What nothing that moves would say: points of the neighbouring snapshots as they are."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from scorefold._types import Key, Values
from scorefold.bridges.reference.integrated import check_times


class SnapshotMixture:
    """At t between t_k and t_{k+1} the law (1 − τ) μ_k + τ μ_{k+1}, τ = (t − t_k)/(t_{k+1} − t_k);
    ``previous``: μ_k alone. The least that a bridge must do better than."""

    def __init__(self, times: Values, points: Sequence[Values], *, previous: bool = False):
        self.times, self.points = check_times(times), [np.asarray(p) for p in points]
        self.previous = previous

    def sample_at(self, key: Key, t: float, n: int) -> np.ndarray:
        """n draws at time t, shape ``(n, *shape)``: each point is used ⌊m⌋ or ⌈m⌉ times."""
        if not self.times[0] <= t <= self.times[-1]:
            raise ValueError(f"t: {t:g} is outside the snapshots.")
        k = min(max(int(np.searchsorted(self.times, t)) - 1, 0), len(self.times) - 2)
        part = (t - self.times[k]) / (self.times[k + 1] - self.times[k])
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
        late = rng.uniform(size=n) < (0.0 if self.previous else part)
        before, after = (
            rows[np.resize(rng.permutation(len(rows)), n)] for rows in self.points[k : k + 2]
        )
        return np.where(late.reshape(-1, *(1,) * (before.ndim - 1)), after, before)
