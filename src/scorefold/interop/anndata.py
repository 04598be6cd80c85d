"""AnnData: snapshots of cells out, and in by ``scorefold.data``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scorefold.data import Snapshots, SnapshotTable, snapshots_of_cells
from scorefold.interop._needed import needed
from scorefold.manifolds import Manifold

if TYPE_CHECKING:
    from anndata import AnnData


def to_anndata(
    snapshots: Snapshots, *, time: str = "time", use: str = "X_pca", member: str = "member"
) -> AnnData:
    """A cell for each point, in the order of the times: ``obs[time]`` (float64, in
    ``snapshots.unit``), ``obsm[use]`` the numbers of its point, shape ``(cells, m)``, float64, and
    with labels ``obs[member]``. ``uns["scorefold"]`` names the manifold and the unit. No ``X``.

        to_anndata(snapshots).write_h5ad("cells.h5ad")

    **Raises:** ``ModuleNotFoundError`` without anndata.
    """
    anndata = needed("anndata", "anndata")
    import pandas as pd

    at = np.repeat(np.asarray(snapshots.times, np.float64), snapshots.mass)
    names = [f"{k}-{i}" for k, n in enumerate(snapshots.mass) for i in range(n)]
    columns: dict[str, np.ndarray] = {time: at}
    if snapshots.ids is not None:
        columns[member] = np.concatenate(snapshots.ids).astype(str).astype(object)
    points = np.concatenate([cloud.reshape(len(cloud), -1) for cloud in snapshots.points])
    return anndata.AnnData(
        obs=pd.DataFrame(columns, index=names),
        obsm={use: points},
        uns={"scorefold": {"manifold": snapshots.manifold.name, "time_unit": snapshots.unit}},
    )


def from_anndata(
    cells: AnnData,
    *,
    time: str = "time",
    use: str = "X_pca",
    member: str | None = None,
    manifold: str | Manifold | None = None,
) -> SnapshotTable:
    """``scorefold.data.snapshots_of_cells`` on the manifold that ``to_anndata`` wrote down, unless
    another is stated: snapshots of ``obsm[use]`` at the times ``obs[time]``.

        from_anndata(cells, time="day").snapshots

    **Raises:** ``DataError`` as there.
    """
    if manifold is None:
        manifold = (cells.uns.get("scorefold") or {}).get("manifold")
    return snapshots_of_cells(cells, time=time, use=use, member=member, manifold=manifold)
