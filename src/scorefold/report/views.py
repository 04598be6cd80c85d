"""What a view is: a flat picture of a manifold, as a pair of maps and a volume element."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.patches import Patch


class View(abc.ABC):
    """A map from points of a manifold to a region of the plane (NumPy, float64, batched).

    It need not be one-to-one: two of the seven angles of T⁷ are a view. Histograms of a view are
    densities with respect to ``area``, hence marginal densities in the manifold's own units.
    """

    @property
    @abc.abstractmethod
    def extent(self) -> tuple[float, float, float, float]:
        """Bounding box (left, right, bottom, top) in plot coordinates."""

    @abc.abstractmethod
    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Plot coordinates (n, 2) of points (n, *shape), and which of them are visible (n,)."""

    @abc.abstractmethod
    def inside(self, xy: np.ndarray) -> np.ndarray:
        """Which plot coordinates (n, 2) belong to the picture, (n,)."""

    @abc.abstractmethod
    def area(self, xy: np.ndarray) -> np.ndarray:
        """Riemannian volume shown per unit of plot area at (n, 2), shape (n,)."""

    @abc.abstractmethod
    def decorate(self, axes: Panel, *, filled: bool) -> Patch | None:
        """Draw the boundary, grid lines, labels and coastlines; ``filled`` says that a heat map
        lies below. Returns the patch that clips what is drawn, if the region is not a box."""


class Chart(View):
    """A view that is one-to-one where it is visible, so that densities can be drawn exactly."""

    @abc.abstractmethod
    def lift(self, xy: np.ndarray) -> np.ndarray:
        """Points (n, *shape) at plot coordinates (n, 2); coordinates outside the picture are
        first moved to its edge."""
