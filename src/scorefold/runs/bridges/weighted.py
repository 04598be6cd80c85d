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
    if dataset.weights is None:
        return dataset
    found = {}
    for part in ("train", "val"):
        w = dataset.weights_of(part)
        found[part] = np.asarray(getattr(dataset, part))[systematic(w, len(w))]
    test, key = np.asarray(dataset.test), jax.random.fold_in(jax.random.key(dataset.seed), 10)
    kept = thinned(test, dataset.weights_of("test"), key=key)
    return dataclasses.replace(dataset, test=test[kept], **found)


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
