"""Every model of ``scorefold fit`` as a density estimator of scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils.validation import check_is_fitted

from scorefold._types import Values
from scorefold._weights import average, counted, rows_that_count
from scorefold.data import Dataset, plain_coordinates
from scorefold.data.splits.protocols import Split, equal_rows
from scorefold.manifolds import Manifold, exact_points
from scorefold.runs import MODELS, ModelTask, RunError
from scorefold.runs.models.choices import choose_model, model_choice
from scorefold.runs.setting import TRAINING
from scorefold.sklearn._rows import (
    RandomState,
    points_of_rows,
    read_rows,
    rows_of_points,
    seed_of,
    space_of,
)

_STATED = ("manifold", "model", "validation_fraction", "random_state")
_TRAINING = tuple(setting.name for setting in TRAINING)


class Density(DensityMixin, BaseEstimator):
    """A density on a manifold: ``score_samples`` is log p in nats with respect to Riemannian
    volume, ``score`` its mean, ``sample`` gives draws.

    **Parameters:**

    - ``manifold``: a name (``"S^2"``, ``"SO(3)"``, ``"S^2 x R^1"``) or a ``Manifold``. Default:
      R^d, d the number of columns.
    - ``model``: a name of ``scorefold fit --model``: ``"kernel"``, ``"kde"``, ``"score"``, …
    - ``validation_fraction``: of the rows that are held out from training, by which models choose
      and stop; equal rows stay together. ``"kde"`` chooses by leaving out one row and holds out
      none.
    - ``random_state``: of the split, the training and the draws.
    - ``settings``: options of the model by their names on the command line (``components=10``,
      ``steps=500``, ``width=64``); ``get_params`` has those that are stated, ``set_params`` takes
      all of the model's.

    **Rows.** A row is a point, in radians and unit vectors as everywhere in scorefold: (n, 3) on
    S², (n, 9) on SO(3), matrices row by row. Arrays (n, 3, 3) are flattened; draws have two axes.

    **Attributes:** ``model_``: the fitted ``Model``; ``manifold_``; ``history_``: of the training;
    ``n_features_in_``.
    **Raises:** ``ValueError`` for rows that are no points, naming them, and for settings that the
    model does not have.
    """

    def __init__(
        self,
        manifold: str | Manifold | None = None,
        model: str = "kernel",
        *,
        validation_fraction: float = 0.1,
        random_state: RandomState = None,
        **settings: object,
    ) -> None:
        self.manifold = manifold
        self.model = model
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        for name, value in settings.items():
            setattr(self, name, value)

    def fit(self, X: Values, y: object = None, sample_weight: Values | None = None) -> Density:
        """Fit the model to rows X, shape ``(n, n_features)``. y is not looked at;
        ``sample_weight``: numbers ≥ 0, shape ``(n,)``: a row of weight 2 counts as the row twice,
        one of weight 0 as none."""
        rows = read_rows(self, X, reset=True, least=2)
        space = space_of(self.manifold, rows.shape[1])
        points = np.asarray(exact_points(space, points_of_rows(space, rows), "X"))
        kept, weights = rows_that_count("sample_weight", sample_weight, len(points))
        points = counted(points, kept)
        share = self.validation_fraction
        if not (isinstance(share, int | float) and 0.0 < share < 1.0):
            raise ValueError(f"validation_fraction: a share between 0 and 1, got {share!r}.")
        if not isinstance(self.model, str):
            raise ValueError(f"model: a name such as 'kernel', got {self.model!r}.")
        seed = seed_of(self.random_state)
        settings = {k: v for k, v in self._settings().items() if v is not None}
        training = {k: settings.pop(k) for k in _TRAINING if k in settings}
        try:
            choice = model_choice(self.model)
            data = _split(space, points, float(share) if choice.trained else 0.0, seed, weights)
            choose_model(self.model, {**settings, **training}, data)
            if choice.trained:
                if "steps" not in training and "budget" not in training and choice.budget:
                    training["budget"] = choice.budget
                training["progress"] = False
            self.model_, self.history_ = choice.fit(ModelTask(data, settings, seed, False),
                                                    **training)  # fmt: skip
        except RunError as error:
            raise ValueError(str(error)) from error
        self.manifold_ = space
        return self

    def score_samples(self, X: Values) -> np.ndarray:
        """log p of each row, shape ``(n,)``, in nats."""
        points = self._points(X)
        return np.asarray(self.model_.log_prob(points))

    def score(self, X: Values, y: object = None, sample_weight: Values | None = None) -> float:
        """The mean of log p over the rows, in nats a point, with their ``sample_weight``."""
        found = np.asarray(self.score_samples(X), np.float64)
        kept, weights = rows_that_count("sample_weight", sample_weight, len(found))
        return float(average(counted(found, kept), weights))

    def sample(self, n_samples: int = 1, random_state: RandomState = None) -> np.ndarray:
        """Draws, shape ``(n_samples, n_features)``. ``random_state`` (default: that of the
        estimator, so that a number gives the same draws again)."""
        import jax

        check_is_fitted(self)
        seed = seed_of(self.random_state if random_state is None else random_state)
        return rows_of_points(self.model_.sample(jax.random.key(seed), n_samples))

    # -- parameters --------------------------------------------------------------------------------
    def get_params(self, deep: bool = True) -> dict[str, object]:
        """All parameters, and the settings that are stated."""
        return {**super().get_params(deep=deep), **self._settings()}

    def set_params(self, **params: object) -> Density:
        """**Raises:** ``ValueError`` for names that are neither parameters nor settings of the
        model."""
        usual = {k: v for k, v in params.items() if k in _STATED}
        settings = {k: v for k, v in params.items() if k not in _STATED}
        super().set_params(**usual)
        if settings and isinstance(self.model, str) and self.model in MODELS:
            known = {s.name for s in MODELS[self.model].known()} | self._settings().keys()
            for name in settings:
                if name not in known:
                    raise ValueError(
                        f"{name}: no parameter of Density and no setting of model={self.model!r}, "
                        f"which has {', '.join(sorted(known)) or 'none'}."
                    )
        # Of another model: ``fit`` looks at them.
        for name, value in settings.items():
            setattr(self, name, value)
        return self

    def _settings(self) -> dict[str, object]:
        """What was stated beside the usual parameters: attributes that ``fit`` did not make."""
        return {k: v.item() if isinstance(v, np.generic) else v for k, v in vars(self).items()
                if k not in _STATED and not k.endswith("_") and not k.startswith("_")}  # fmt: skip

    def _points(self, X: Values) -> np.ndarray:
        check_is_fitted(self)
        return points_of_rows(self.manifold_, read_rows(self, X, reset=False))


def _split(
    manifold: Manifold,
    points: np.ndarray,
    share: float,
    seed: int,
    weights: np.ndarray | None = None,
) -> Dataset:
    """Rows to train on and to validate by (a share of 0: none; of weight, where rows carry some);
    equal rows stay together."""
    rows, values = np.arange(len(points)), points.astype(np.float64).reshape(len(points), -1)
    labels = equal_rows(values)
    order = np.random.default_rng(seed).permutation(labels.max() + 1)
    count = max(1, round(share * len(order))) if share > 0.0 else 0
    if weights is not None and share > 0.0:
        reached = np.cumsum(np.bincount(labels, weights)[order])
        count = max(1, int(np.searchsorted(reached, share * reached[-1])))
    if count >= len(order):
        raise ValueError(
            f"validation_fraction: {share:g} of {len(order)} rows leaves none to train on."
        )
    held = np.isin(labels, order[:count])
    return Dataset(
        name="X",
        title="X",
        manifold=manifold,
        train=points[~held],
        val=points[held],
        test=points[:0],
        protocol="grouped",
        seed=seed,
        indices=Split(rows[~held], rows[held], rows[:0]),
        values=values,
        coordinates=plain_coordinates(manifold),
        labels=labels,
        weights=weights,
        weights_column=None if weights is None else "sample_weight",
    )
