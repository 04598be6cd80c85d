"""flowjax, ArviZ, orix and anndata: round trips, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from optional import package, usual_promotion
from scipy.spatial.transform import Rotation
from scipy.stats import multivariate_normal

import scorefold as sf
from scorefold.cli import main
from scorefold.data import DataError, HeatMixture, Snapshots, load_snapshot_table
from scorefold.interop.anndata import from_anndata, to_anndata
from scorefold.interop.arviz import circular_names, from_arviz, to_arviz
from scorefold.interop.flowjax import from_flowjax, to_flowjax
from scorefold.interop.orix import from_orix, to_orix
from scorefold.interop.rotations import from_bunge, to_bunge

KEY = jax.random.key(0)
PLANE = HeatMixture(sf.Euclidean(2), [[0.0, 0.0], [3.0, 1.0]], [0.5, 0.2])


# -- flowjax ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("law", [PLANE, HeatMixture(sf.SO3(), np.eye(3)[None], 0.3)])
def test_a_law_of_flowjax_and_back(law):
    package("flowjax")
    with usual_promotion():
        found = to_flowjax(law)
        assert found.shape == law.manifold.shape and found.cond_shape is None
        x = found.sample(KEY, (2, 3))
        assert x.shape == (2, 3, *law.manifold.shape)
        assert bool(jax.vmap(jax.vmap(law.manifold.belongs))(x).all())
        np.testing.assert_allclose(found.log_prob(x), law.log_prob(x), rtol=1e-12)
        back = from_flowjax(found, law.manifold)
        np.testing.assert_allclose(back.log_prob(x[0]), law.log_prob(x[0]), rtol=1e-12)


def test_flows_as_laws_and_models_as_their_base():
    """A normal law, an affine map of a fitted model, whose density is that of the model over the
    scale, and a fit to draws of flowjax."""
    package("flowjax")
    from flowjax import bijections, distributions

    with usual_promotion():
        mean, cov = np.array([1.0, -1.0]), np.array([[2.0, 0.3], [0.3, 0.5]])
        law = from_flowjax(distributions.MultivariateNormal(jnp.asarray(mean), jnp.asarray(cov)))
        x = np.asarray(law.sample(KEY, 200))
        np.testing.assert_allclose(
            law.log_prob(x), multivariate_normal(mean, cov).logpdf(x), rtol=1e-9
        )
        model, _ = sf.fit(sf.KernelModel(law.manifold), x, key=KEY, steps=5, progress=False)
        moved = distributions.Transformed(
            to_flowjax(model), bijections.Affine(jnp.asarray([5.0, 5.0]), jnp.asarray([2.0, 3.0]))
        )
        y = x * [2.0, 3.0] + 5.0
        np.testing.assert_allclose(
            moved.log_prob(jnp.asarray(y)), model.log_prob(x) - np.log(6.0), rtol=1e-6
        )
        for made, said in (
            (distributions.Normal(), r"has shape \(\)"),
            (distributions.StandardNormal((2, 2)), r"has shape \(2, 2\)"),
        ):
            with pytest.raises(ValueError, match=said):
                from_flowjax(made)
        with pytest.raises(ValueError, match=r"a point of S\^2 has shape \(3,\)"):
            from_flowjax(distributions.StandardNormal((2,)), sf.Sphere(2))


# -- ArviZ -----------------------------------------------------------------------------------------
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["R^2", "T^3", "S^2", "SO(3)", "H^2", "S^2 x T^1"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_draws_of_arviz_come_back(name, dtype):
    """Chains and draws in their order; to the digit where columns are the numbers of a point, to
    two roundings of float64 through latitude and longitude."""
    package("arviz")
    manifold = sf.manifold_from_name(name)
    points = np.asarray(
        jax.vmap(lambda k: manifold.heat.sample(k, manifold.origin(), 0.5))(
            jax.random.split(KEY, 24)), dtype
    ).reshape(4, 6, *manifold.shape)  # fmt: skip
    data = to_arviz(points, manifold)
    assert dict(data["posterior"].sizes) == {"chain": 4, "draw": 6}
    back = from_arviz(data, manifold)
    atol = 4e-16 if dtype == np.float64 else 2e-7
    np.testing.assert_allclose(back, points, atol=atol if name == "S^2" else atol / 4)
    assert circular_names(data) == {
        "T^3": ["x0", "x1", "x2"], "S^2": ["lon"], "S^2 x T^1": ["x3"]}.get(name, [])  # fmt: skip
    # As later versions of ArviZ hold it.
    tree = package("xarray").DataTree.from_dict({"posterior": data["posterior"]})
    np.testing.assert_array_equal(from_arviz(tree, manifold), back)
    assert circular_names(tree) == circular_names(data)
    one = to_arviz(points[0], manifold)
    assert one["posterior"].sizes["chain"] == 1


@pytest.mark.filterwarnings("ignore")
def test_summaries_of_angles_are_circular(tmp_path):
    """Torsions around ±π: ArviZ's circular mean is there, its plain mean is not; names are those of
    a table, and a file keeps the marks."""
    arviz = package("arviz")
    rng = np.random.default_rng(0)
    angles = np.degrees(np.remainder(rng.normal(np.pi, 0.2, size=(400, 2)), 2 * np.pi)) - 180.0
    angles = np.where(angles < 0, angles + 180.0, angles - 180.0)
    pd.DataFrame(angles, columns=["phi", "psi"]).to_csv(tmp_path / "t.csv", index=False)
    table = sf.data.load(tmp_path / "t.csv", manifold="T^2", degrees=True)
    data = to_arviz(np.asarray(table.train).reshape(4, -1, 2), table.coordinates)
    assert circular_names(data) == ["phi", "psi"]
    found = arviz.summary(data, circ_var_names=circular_names(data), kind="stats")
    assert (np.abs(np.abs(found["mean"]) - np.pi) < 0.1).all()
    data.to_netcdf(str(tmp_path / "draws.nc"))
    kept = arviz.from_netcdf(str(tmp_path / "draws.nc"))
    assert circular_names(kept) == ["phi", "psi"]
    np.testing.assert_array_equal(
        from_arviz(kept, table.coordinates), from_arviz(data, table.coordinates)
    )


@pytest.mark.filterwarnings("ignore")
def test_draws_that_arviz_would_misread():
    package("arviz")
    torus = sf.Torus(2)
    data = to_arviz(np.zeros((5, 2)), torus)
    for call, said in (
        (lambda: to_arviz(np.zeros((5, 3)), torus), r"has shape \(5, 3\); draws on T\^2"),
        (lambda: to_arviz(np.array([[0.0, np.nan]]), torus), "draws: row 0 not finite"),
        (lambda: to_arviz(2.0 * np.ones((5, 3)), sf.Sphere(2)), "draws: rows 0, 1, 2, 3, 4"),
        (lambda: from_arviz(data, sf.Torus(3)), "has no variable 'x2', but x0, x1"),
        (lambda: from_arviz(data, torus, group="prior"), "has no group 'prior'"),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    data["posterior"]["x0"].attrs["units"] = "degree"
    with pytest.raises(ValueError, match="'x0' is in 'degree'; angles are read in radians"):
        from_arviz(data, torus)


# -- orix ------------------------------------------------------------------------------------------
@pytest.mark.filterwarnings("ignore")
def test_bunge_angles_are_those_of_orix():
    """Three libraries, one rotation: SciPy's ZXZ matrix is R, orix holds g = Rᵀ."""
    quaternion = package("orix.quaternion")
    rng = np.random.default_rng(0)
    angles = rng.uniform([0.0, 1.0, 0.0], [360.0, 179.0, 360.0], size=(50, 3))
    orientations = quaternion.Orientation.from_euler(np.radians(angles))
    active = from_bunge(angles, degrees=True, sense="active")
    np.testing.assert_allclose(
        active, Rotation.from_euler("ZXZ", angles, degrees=True).as_matrix(), atol=1e-14
    )
    passive = from_bunge(angles, degrees=True, sense="passive")
    np.testing.assert_allclose(passive, orientations.to_matrix(), atol=1e-12)
    np.testing.assert_allclose(from_orix(orientations), active, atol=1e-12)
    np.testing.assert_allclose(
        np.degrees(to_orix(active).to_euler()), to_bunge(active, degrees=True, sense="active"),
        atol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(from_orix(to_orix(active)), active, atol=1e-14)
    # A vector along the crystal's z, in coordinates of the sample.
    z = package("orix.vector").Vector3d.zvector()
    np.testing.assert_allclose(active[:, :, 2], (~orientations * z).data, atol=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_of_orix_is_no_point():
    quaternion = package("orix.quaternion")
    cubic = quaternion.Orientation.from_euler([[0.1, 0.2, 0.3]], symmetry=quaternion.symmetry.Oh)
    with pytest.warns(sf.ScorefoldWarning, match="the symmetry m-3m is not kept"):
        from_orix(cubic)
    plain = quaternion.Rotation.from_euler([[0.1, 0.2, 0.3]])
    np.testing.assert_allclose(from_orix(plain), plain.to_matrix(), atol=1e-15)
    with pytest.raises(TypeError, match="a Misorientation goes from crystal to crystal"):
        from_orix(quaternion.Misorientation(plain.data))
    with pytest.raises(ValueError, match="1 are improper"):
        from_orix(-plain)
    with pytest.raises(TypeError, match="of orix, got ndarray"):
        from_orix(np.eye(3))


# -- anndata ---------------------------------------------------------------------------------------
def snapshots(name, dtype=np.float64):
    manifold = sf.manifold_from_name(name)
    keys = jax.random.split(KEY, 3)
    clouds = tuple(
        np.asarray(jax.vmap(lambda k: manifold.heat.sample(k, manifold.origin(), 0.5))(
            jax.random.split(key, 20 + i)), dtype)
        for i, key in enumerate(keys)
    )  # fmt: skip
    ids = tuple(np.array([f"c{j}" for j in range(len(c))]) for c in clouds)
    return Snapshots(name, manifold, (0.0, 1.5, 4.0), clouds, ids, "days")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", ["R^5", "S^2", "SO(3)"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_snapshots_of_cells_come_back(name, dtype, tmp_path):
    """To the digit, from memory and from a file; in any order of the cells. Curved points of
    float32 are put on their manifold in float64, half a rounding of theirs away."""
    atol = 6e-8 if dtype == np.float32 and name != "R^5" else 0.0
    anndata = package("anndata")
    given = snapshots(name, dtype)
    cells = to_anndata(given, time="day", use="X_points")
    order = np.random.default_rng(0).permutation(cells.n_obs)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    kept = anndata.read_h5ad(tmp_path / "cells.h5ad")
    for one in (cells, kept):
        found = from_anndata(one, time="day", use="X_points", member="member").snapshots
        assert found.manifold == given.manifold and found.times == given.times
        for a, b, x, y in zip(found.points, given.points, found.ids, given.ids, strict=True):
            np.testing.assert_allclose(a, b, rtol=0.0, atol=atol)
            assert list(x) == list(y)
    shuffled = from_anndata(cells[order], time="day", use="X_points", member="member").snapshots
    for a, x, b in zip(shuffled.points, shuffled.ids, given.points, strict=True):
        order = np.argsort([int(i[1:]) for i in x])
        np.testing.assert_allclose(a[order], b, rtol=0.0, atol=atol)
    file = load_snapshot_table(tmp_path / "cells.h5ad", time="day", columns="X_points",
                               manifold=name)  # fmt: skip
    np.testing.assert_allclose(file.snapshots.points[2], given.points[2], rtol=0.0, atol=atol)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_cells_that_are_no_snapshots(tmp_path, capsys):
    package("anndata")
    cells = to_anndata(snapshots("R^5"))
    cells.obs["batch"] = pd.Categorical(["a"] * cells.n_obs)
    for more, said in (
        ({"time": "batch"}, "neither numbers nor dates"),
        ({"time": "tiem"}, "column of obs.*time"),
        ({"use": "X_pac"}, "matrix of obsm.*X_pca"),
        ({"manifold": "S^2"}, r"has 5 columns, and a point of S\^2 has 3 numbers"),
    ):
        with pytest.raises(DataError, match=said):
            from_anndata(cells, **more)
    cells.obsm["X_pca"][3, 1] = np.nan
    with pytest.raises(DataError, match="not finite in row 3"):
        from_anndata(cells)
    path = tmp_path / "cells.h5ad"
    cells.write_h5ad(path)
    assert main(["bridge", str(path), "--time", "time", "--out", str(tmp_path / "run")]) == 2
    assert "obsm['X_pca'] is not finite in row 3" in capsys.readouterr().err
