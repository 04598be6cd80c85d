"""``load_images``: small labelled images by name, as points of flat space."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np

from scorefold.data._errors import DataError, nearest
from scorefold.data.sources.download import locate
from scorefold.data.sources.idx import read_idx
from scorefold.data.sources.registry import Entry, Source
from scorefold.manifolds import Euclidean

_MNIST = (
    "https://raw.githubusercontent.com/patrick-kidger/equinox/"
    "9336d820b2ef66b360fc6cb3611b3da5cefbb14d/docs/examples/MNIST/MNIST/raw/"
)
_LICENCE = "CC BY-SA 3.0 (not verified): for tests and examples, do not redistribute"
_LECUN = "MNIST test set (LeCun, Bottou, Bengio & Haffner 1998, Proceedings of the IEEE 86, 2278)."


def _mnist(name: str, title: str, file: str, sha256: str) -> Entry:
    sources = (
        Source(f"images/mnist_{file}", sha256, (), _MNIST + file),
        Source(f"images/{file}", sha256, ()),
    )
    return Entry(name, title, "R^784", (), "ink from 0 to 1", _LICENCE, _LECUN, sources)


IMAGES: dict[str, Entry] = {
    e.name: e
    for e in (
        _mnist(
            "mnist-t10k",
            "Handwritten digits, 10,000 images of 28 × 28 pixels",
            "t10k-images-idx3-ubyte.gz",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        Entry(
            "digits",
            "Handwritten digits, 1,797 images of 8 × 8 pixels",
            "R^64",
            (),
            "ink from 0 to 1",
            "CC BY 4.0",
            "Alpaydin & Kaynak 1998, Optical Recognition of Handwritten Digits (UCI), the copy of "
            "scikit-learn.",
            package="sklearn",
            note="Read offline from an installed package.",
        ),
    )
}
"""The images that the library knows by name."""

_LABELS = _mnist(
    "mnist-t10k (labels)",
    "Their labels",
    "t10k-labels-idx1-ubyte.gz",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
)


@dataclass(frozen=True)
class Images:
    """Labelled images as points of R^(height·width).

    ``points``: ink from 0 (none) to 1, by rows, float32, shape ``(n, height·width)``; ``labels``:
    integers, shape ``(n,)``; ``shape``: (height, width).
    """

    name: str
    points: np.ndarray
    labels: np.ndarray
    shape: tuple[int, int]
    licence: str = ""
    citation: str = ""
    note: str = ""

    @property
    def manifold(self) -> Euclidean:
        return Euclidean(self.points.shape[1])

    def of(self, label: int) -> np.ndarray:
        """The points of one class, in order. **Raises:** ``DataError`` if there are none."""
        rows = self.points[self.labels == label]
        if len(rows) == 0:
            known = ", ".join(map(str, np.unique(self.labels)))
            raise DataError(f"{self.name} has no images labelled {label!r}. Labels: {known}.")
        return rows

    def split(self, held_out: float = 0.2, *, seed: int = 0) -> tuple[Images, Images]:
        """(training, held-out) images: rows in random order, ``held_out`` of each class (rounded
        down) in the second part."""
        if not 0.0 < held_out < 1.0:
            raise DataError(f"held_out must be a share between 0 and 1, got {held_out!r}.")
        rows = np.random.default_rng(seed).permutation(len(self.labels))
        labels = self.labels[rows]
        second = np.zeros(len(rows), bool)
        for label in np.unique(labels):
            of_class = np.flatnonzero(labels == label)
            second[of_class[: int(held_out * len(of_class))]] = True
        first, other = (
            replace(self, points=self.points[part], labels=self.labels[part])
            for part in (rows[~second], rows[second])
        )
        return first, other


def load_images(name: str, *, data_dir: str | os.PathLike | None = None) -> Images:
    """Images by name: ``"mnist-t10k"`` (28 × 28, from verified files, see ``load``), ``"digits"``
    (8 × 8, from the installed package scikit-learn).

    **Raises:** ``DataError`` with the nearest name if unknown, and where a file is missing or
    another than the registered one.
    """
    if name not in IMAGES:
        raise nearest("images", name, IMAGES)
    entry = IMAGES[name]
    if entry.package is not None:
        pixels, labels = _digits()
    else:
        path, _ = locate(entry, data_dir)
        pixels = read_idx(path).astype(np.float32) / 255.0
        labels = read_idx(locate(_LABELS, data_dir)[0])
    height, width = pixels.shape[1:]
    return Images(
        name, pixels.reshape(len(pixels), -1), labels.astype(np.int64), (height, width),
        entry.licence, entry.citation, entry.note,
    )  # fmt: skip


def _digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError('"digits" needs scikit-learn (pip install scikit-learn).') from error
    found = load_digits()
    return (found.images / 16.0).astype(np.float32), np.asarray(found.target)
