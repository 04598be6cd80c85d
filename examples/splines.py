"""Paths through snapshots of samples: kinetic splines beside geodesics between optimal pairs.

    python examples/splines.py

Five snapshots of 200 members, one of them left out; who is who is not told. Left: the petal in the
plane. Right: storms that turn, on the sphere. Writes docs/images/splines.png.
"""

from pathlib import Path

import jax
import numpy as np
from matplotlib.collections import LineCollection

from scorefold.bridges import spline_paths
from scorefold.data import load_snapshots
from scorefold.manifolds import pairwise
from scorefold.metrics import transport_distance
from scorefold.report.maps import Globe
from scorefold.report.panels import BLUE, ORANGE, new_figure

LEFT_OUT, SHOWN, GREY = 2, 60, "0.55"


def straight(manifold, points, k, shares):
    """Members of snapshot k along geodesics to their optimal partners in the next."""
    from scipy.optimize import linear_sum_assignment

    a, b = points[k], points[k + 1]
    i, j = linear_sum_assignment(pairwise(manifold, a, b) ** 2)
    move = jax.vmap(
        lambda x, y: jax.vmap(lambda s: manifold.exp(x, s * manifold.log(x, y)))(shares)
    )
    return np.asarray(move(a[i], b[j]))


def main() -> None:
    figure = new_figure(10.0, 5.6)
    grid = figure.subplots(1, 2)
    for axes, name in zip(grid, ("petal", "curving-storms"), strict=True):
        data = load_snapshots(name, seed=0, n=200)
        rest, m = data.without(LEFT_OUT), data.manifold
        paths = spline_paths(m, rest.times, rest.points, key=jax.random.key(0), n=min(rest.mass))
        at = np.linspace(data.times[LEFT_OUT - 1], data.times[LEFT_OUT + 1], 41)
        curves = np.asarray(paths.curves(at))
        lines = straight(m, rest.points, LEFT_OUT - 1, np.linspace(0.0, 1.0, 41))
        truth = data.points[LEFT_OUT]
        size = min(len(curves), len(lines), len(truth))
        far = [transport_distance(m, x[:size, 20], truth[:size], 2) for x in (curves, lines)]
        if name == "petal":
            project = lambda x: x  # noqa: E731
            axes.set_aspect("equal")
            axes.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
        else:
            view = Globe(lat=25.0, lon=-40.0)
            view.decorate(axes, filled=False)
            project = lambda x, v=view: v.project(x.reshape(-1, 3))[0].reshape(*x.shape[:-1], 2)  # noqa: E731
            axes.set(xlim=(-0.55, 0.55), ylim=(-0.45, 0.55))
        for x, colour, width in ((lines, ORANGE, 0.8), (curves, BLUE, 0.8)):
            drawn = project(x[:SHOWN])
            axes.add_collection(LineCollection(list(drawn), colors=colour, lw=width, alpha=0.7))
        for k, rows in enumerate(data.points):
            colour, size = ("black", 9) if k == LEFT_OUT else (GREY, 4)
            axes.scatter(*project(rows).T, s=size, color=colour, lw=0, zorder=3)
        axes.set_title(
            f"{name}: W₂ {far[0]:.3f} by splines (blue), {far[1]:.3f} by geodesics", fontsize=9
        )
    figure.suptitle("Black: the snapshot that neither has seen", fontsize=11)
    figure.savefig(Path(__file__).parents[1] / "docs" / "images" / "splines.png", dpi=110)


if __name__ == "__main__":
    main()
