"""Ends whose rows carry weights, as rows that are all alike."""

import dataclasses

import jax
import numpy as np

from scorefold._types import Document
from scorefold._weights import effective_number, systematic
from scorefold.data import Dataset
from scorefold.metrics import thinned


def alike(dataset: Dataset) -> Dataset:
    """The data set with rows that need no weights: to train and to validate, as many, repeated in
    proportion to their weights; to test, different ones drawn in proportion (``thinned``), for
    measures suppose that they are independent. The same where rows carry none."""
    weights = dataset.weights
    if weights is None:
        return dataset

    def part(name: str) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(getattr(dataset, name)), weights[getattr(dataset.indices, name)]

    (train, w_train), (val, w_val), (test, w) = map(part, ("train", "val", "test"))
    kept = thinned(test, w, key=jax.random.fold_in(jax.random.key(dataset.seed), 10))
    return dataclasses.replace(
        dataset,
        train=train[systematic(w_train, len(train))],
        val=val[systematic(w_val, len(val))],
        test=test[kept],
    )


def worth(dataset: Dataset) -> float:
    """The effective number of its training rows."""
    w = None if dataset.weights is None else dataset.weights[dataset.indices.train]
    return float(len(dataset.train)) if w is None else effective_number(w)


def weights_numbers(ends: tuple[Dataset, ...]) -> Document:
    """The columns of weights, and what the rows of each end are worth; nothing without."""
    if all(end.weights is None for end in ends):
        return {}
    return {
        "weights": [end.weights_column for end in ends],
        "n_train_effective": [worth(end) for end in ends],
    }
