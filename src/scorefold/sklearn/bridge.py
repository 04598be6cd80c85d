"""Bridges between two data sets as transformers of scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from scorefold._types import Values
from scorefold._weights import counted, rows_that_count, systematic
from scorefold.bridges import brownian_reference, fit_bridge
from scorefold.bridges.usual_variance import mean_square_gap, usual_variance
from scorefold.manifolds import Manifold, exact_points
from scorefold.runs import BRIDGES, RunError
from scorefold.sklearn._rows import (
    FLOATS,
    RandomState,
    points_of_rows,
    read_rows,
    rows_of_points,
    seed_of,
    space_of,
)


class BridgeTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """A Schrödinger bridge from the law of X to that of Y: ``fit(X, Y)``, ``transform`` carries
    points of X to Y, ``inverse_transform`` points of Y to X.

    **Parameters:**

    - ``manifold``: as for ``Density``; default R^d.
    - ``model``: ``"light"``, ``"imf"`` or ``"dsb"``, the names of ``scorefold bridge --model``.
    - ``variance``: variance-time of the Brownian motion in between; default: a tenth of the mean
      squared distance of the ends per dimension.
    - ``noise``: False: along the probability flow, without noise: ``inverse_transform`` undoes
      ``transform`` up to the error of the steps. True: by one random path each, a draw of the other
      end given this one.
    - ``walk_steps``: of the flow, and of paths that are simulated.
    - ``steps`` or ``budget`` (seconds, ``"light"`` alone): of the training.
    - ``random_state``: of the training and of the noise.

    Y has as many columns as X and any number of rows: nothing pairs them. It takes the place of
    ``y``, so that a pipeline hands it on to its last step; a step before that transforms X alone,
    and Y must be given as it comes out of it.

    **Attributes:** ``bridge_``, ``manifold_``, ``history_``, ``n_features_in_``.
    """

    def __init__(
        self,
        manifold: str | Manifold | None = None,
        model: str = "light",
        *,
        variance: float | None = None,
        noise: bool = False,
        walk_steps: int = 100,
        steps: int | None = None,
        budget: float | None = None,
        random_state: RandomState = None,
    ) -> None:
        self.manifold = manifold
        self.model = model
        self.variance = variance
        self.noise = noise
        self.walk_steps = walk_steps
        self.steps = steps
        self.budget = budget
        self.random_state = random_state

    def fit(
        self,
        X: Values,
        y: Values | None,
        sample_weight: Values | None = None,
        target_weight: Values | None = None,
    ) -> BridgeTransformer:
        """Fit the bridge from rows X, shape ``(n, n_features)``, to rows y, ``(m, n_features)``.
        ``sample_weight``, ``target_weight``: numbers ≥ 0 for the rows of X and of y: a row of
        weight 2 counts as the row twice, one of weight 0 as none.

        **Raises:** ``ValueError`` naming the argument and the rows.
        """
        import jax

        if y is None:
            raise ValueError("y: give the points of the other law, rows of as many numbers as X.")
        first = read_rows(self, X, reset=True, least=2)
        space = space_of(self.manifold, first.shape[1])
        named = getattr(self, "feature_names_in_", None)
        if named is not None and hasattr(y, "columns") and list(y.columns) != list(named):
            raise ValueError(
                f"y: has the columns {list(y.columns)[:5]}, X has {list(named)[:5]}: give them in "
                "one order."
            )
        last = _others(y, first)
        if self.model not in BRIDGES:
            raise ValueError(f"model: one of {', '.join(BRIDGES)}, got {self.model!r}.")
        choice = BRIDGES[self.model]
        a, b = (
            np.asarray(exact_points(space, points_of_rows(space, rows), name))
            for rows, name in ((first, "X"), (last, "y"))
        )
        of_a = rows_that_count("sample_weight", sample_weight, len(a))
        of_b = rows_that_count("target_weight", target_weight, len(b))
        a, b = counted(a, of_a[0]), counted(b, of_b[0])
        weights = of_a[1], of_b[1]
        variance = self.variance
        if variance is None:
            rows = (
                x if w is None else x[systematic(w, len(x))]
                for x, w in zip((a, b), weights, strict=True)
            )
            gap = mean_square_gap(space, *rows)
            if not gap > 0:
                raise ValueError("variance: all points are equal, which says nothing of it.")
            variance = usual_variance(gap)
        elif not (isinstance(variance, int | float | np.number) and 0 < variance < np.inf):
            raise ValueError(f"variance: a positive finite number or None, got {variance!r}.")
        try:
            training = choice.training(self.steps, self.budget)
        except RunError as error:
            raise ValueError("budget: of model='light' alone; give steps.") from error
        key = jax.random.key(seed_of(self.random_state))
        description = choice.build(brownian_reference(space, float(variance)))
        self.bridge_, self.history_ = fit_bridge(
            description, a, b, key=key, weights=weights, progress=False, **training
        )
        self.manifold_ = space
        return self

    def transform(self, X: Values) -> np.ndarray:
        """Points of Y from rows of X, shape ``(n, n_features)``."""
        return self._carried(X, "forward")

    def inverse_transform(self, X: Values) -> np.ndarray:
        """Points of X from rows of Y."""
        return self._carried(X, "backward")

    def _carried(self, X: Values, direction: str) -> np.ndarray:
        import jax

        check_is_fitted(self)
        rows = points_of_rows(self.manifold_, read_rows(self, X, reset=False))
        if not self.noise:
            moved = self.bridge_.flow(rows, direction=direction, steps=self.walk_steps)
            return rows_of_points(moved)
        key = jax.random.key(seed_of(self.random_state))
        forward = direction == "forward"
        sample = self.bridge_.sample_forward if forward else self.bridge_.sample_backward
        return rows_of_points(sample(key, rows, steps=self.walk_steps))


def _others(y: Values, first: np.ndarray) -> np.ndarray:
    """The rows of the other law, in the dtype of the first."""
    if not hasattr(y, "columns") and np.ndim(y) > 2:
        y = np.asarray(y)
        y = y.reshape(len(y), -1)
    if np.ndim(y) == 1:
        raise ValueError("y: has one axis; give points of the other law, a row each, not labels.")
    rows = check_array(y, dtype=FLOATS, input_name="y", ensure_min_samples=2)
    if rows.shape[1] != first.shape[1]:
        raise ValueError(
            f"y: has {rows.shape[1]} columns, X has {first.shape[1]}: both ends lie in one space."
        )
    return rows.astype(first.dtype)
