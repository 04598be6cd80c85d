"""Pages to explore: arrays as the page reads them, places against closed forms, densities against
marginals that are known, hostile names, and what the page may load (nothing)."""

import base64
import hashlib
import html.parser
import json
import math
import re

import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold import report
from scorefold.fitting import History
from scorefold.kernels import WrappedMixture
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Product, Sphere, Torus
from scorefold.noising import UniformReference
from scorefold.report.explore.encode import decoded, floats, levels, script_json
from scorefold.report.explore.ground import OnSphere
from scorefold.report.explore.markup import script

RNG = np.random.default_rng(0)
HOSTILE = "</script><img src=x onerror=alert(1)> & \u202eevil\u2028"


# -- arrays --------------------------------------------------------------------------------------
def test_floats_are_kept_and_must_be_finite():
    x = RNG.normal(size=(7, 3))
    np.testing.assert_array_equal(decoded(floats(x)), x.astype("f4"))
    with pytest.raises(ValueError, match="finite"):
        floats(np.array([1.0, np.inf]))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_levels_are_within_half_a_step(scale):
    """Half a step of (high − low)/65533; what is not finite stays so."""
    x = scale * RNG.normal(size=(30, 40))
    x[3, 4], x[5, 6] = -np.inf, np.nan
    found, seen = decoded(levels(x)), np.isfinite(x)
    np.testing.assert_array_equal(np.isfinite(found), seen)
    step = (x[seen].max() - x[seen].min()) / 65533
    assert np.abs(found - x)[seen].max() <= 0.5 * step * (1 + 1e-6)
    np.testing.assert_array_equal(decoded(levels(np.full((2, 2), 3.0))), 3.0)
    assert np.isnan(decoded(levels(np.full((2, 2), -np.inf)))).all()


def test_no_name_ends_the_element_it_is_in():
    text = script_json({HOSTILE: [HOSTILE, 1.5]})
    assert not set(text) & set("<>&") and text.isascii()
    assert json.loads(text) == {HOSTILE: [HOSTILE, 1.5]}


# -- scenes --------------------------------------------------------------------------------------
def _points(manifold, n=40):
    """Points near the origin, in NumPy: enough for pictures."""
    if isinstance(manifold, Product):
        return np.concatenate([_points(m, n).reshape(n, -1) for m in manifold.factors], axis=1)
    if isinstance(manifold, SO3):
        q = np.linalg.qr(RNG.normal(size=(n, 3, 3)))[0]
        return q * np.linalg.det(q)[:, None, None]
    x = RNG.normal(size=(n, *manifold.shape))
    if isinstance(manifold, Sphere):
        return x / np.linalg.norm(x, axis=1, keepdims=True)
    if isinstance(manifold, Hyperbolic):
        return np.concatenate([np.sqrt(1 + (x[:, 1:] ** 2).sum(-1, keepdims=True)), x[:, 1:]], -1)
    return (x + math.pi) % (2 * math.pi) - math.pi if isinstance(manifold, Torus) else x


def _layers(stage):
    return [*stage["layers"], *(layer for body in stage["bodies"] for layer in body["layers"])]


GEOMETRIES = {
    "S^2": (Sphere(2), ["globe"], {"globe"}),
    "T^2": (Torus(2), ["torus", "angles in a square"], {"torus", "flat"}),
    "T^4": (Torus(4), None, {"torus"}),
    "SO(3)": (SO3(), ["where the three axes go", "ball of rotation vectors"], {"globe", "cloud"}),
    "H^2": (Hyperbolic(2), ["Poincaré disk"], {"flat"}),
    "R^2": (Euclidean(2), ["plane"], {"flat"}),
    "R^3": (Euclidean(3), ["in space", "x1 and x2", "x2 and x3"], {"cloud", "flat"}),
    "S^3": (Sphere(3), None, {"cloud", "flat"}),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_every_geometry_has_stages_with_all_toggles(name):
    """Data, draws, kernels, paths and points on their way in every stage; all numbers finite, all
    places within reach; densities where there are two dimensions."""
    manifold, titles, shapes = GEOMETRIES[name]
    x, y = _points(manifold), _points(manifold)
    ways = np.stack([x, x, y], 1)
    shown = report.Explored(
        log_prob=(lambda p: jnp.zeros(len(p))) if manifold.dim == 2 else None, draws=y,
        kernels=np.stack([x[:2], y[:2], x[:2]], 1), ways=ways, times=[0.0, 0.5, 1.0],
    )  # fmt: skip
    scene = report.scene_of(manifold, [shown], data={HOSTILE: x}, cells=10).document()
    stages = scene["stages"]
    assert {stage["shape"] for stage in stages} == shapes
    assert titles is None or [stage["title"] for stage in stages] == titles
    json.dumps(scene, allow_nan=False)
    for stage in stages:
        layers = _layers(stage)
        kinds = {"draws", "kernels", "paths of 25", "points on their way"}
        assert kinds < {layer["name"] for layer in layers}
        for layer in layers:
            found = decoded(layer.get("points") or layer.get("lines") or layer["moving"])
            assert np.isfinite(found).all() and found.shape[-1] == 3 and np.abs(found).max() < 4
            if "lines" in layer:
                assert sum(layer["lengths"]) == len(found)
        moving = next(layer for layer in layers if "moving" in layer)
        assert decoded(moving["moving"]).shape == (3, 40, 3) and moving["times"] == [0.0, 0.5, 1.0]
        assert all(("raster" in body) == (manifold.dim == 2) for body in stage["bodies"])


def _drawn(manifold, x, stage=0, body=0):
    scene = report.scene_of(manifold, [report.Explored(draws=x)], data={"data": x}).document()
    found = scene["stages"][stage]
    (draws,) = [a for a in found["bodies"][body]["layers"] if a["name"] == "draws"]
    return found, decoded(draws["points"]).astype(float)


def test_places_are_those_of_the_points():
    """S²: themselves; SO(3): columns, and axis times angle; T²: angles of the tube and around it,
    in float32; H²: the ball x/(1 + x₀); R²: shares of the ranges that are written beside."""
    x = _points(Sphere(2))
    np.testing.assert_allclose(_drawn(Sphere(2), x)[1], x, atol=1e-7)
    r = np.array([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])  # a quarter turn about z
    for k in range(3):
        np.testing.assert_allclose(_drawn(SO3(), r, 0, k)[1], r[:, :, k], atol=1e-7)
    np.testing.assert_allclose(_drawn(SO3(), r, 1)[1], [[0, 0, 0.5]], atol=1e-6)
    x = _points(Torus(2))
    px, py, pz = _drawn(Torus(2), x)[1].T
    first = (np.arctan2(py, px) + math.pi) % (2 * math.pi) - math.pi
    second = np.arctan2(pz, np.hypot(px, py) - 1)
    # The angle that is written lowest, −180°, is where the page begins.
    np.testing.assert_allclose(np.cos(first - x[:, 0]), -1, atol=1e-5)
    np.testing.assert_allclose(np.cos(second - x[:, 1]), -1, atol=1e-5)
    x = _points(Hyperbolic(2))
    np.testing.assert_allclose(
        _drawn(Hyperbolic(2), x)[1][:, :2], x[:, 1:] / (1 + x[:, :1]), atol=1e-6
    )
    x = _points(Euclidean(2))
    stage, p = _drawn(Euclidean(2), x)
    for k, ruler in enumerate(stage["rulers"]):
        share = (p[:, k] / stage["half"][k] + 1) / 2
        np.testing.assert_allclose(
            ruler["low"] + share * (ruler["high"] - ruler["low"]), x[:, k], atol=1e-5
        )


def test_the_globe_has_the_density_at_the_centres_of_its_cells():
    """log p = 3 z at latitudes (i + ½)·18° − 90°."""
    scene = report.scene_of(
        Sphere(2), [report.Explored(log_prob=lambda p: 3.0 * p[:, 2])],
        data={"data": _points(Sphere(2))}, cells=10,
    ).document()  # fmt: skip
    (body,) = scene["stages"][0]["bodies"]
    found = decoded(body["raster"])
    z = np.sin(np.radians((np.arange(10) + 0.5) * 18 - 90))
    np.testing.assert_allclose(found, np.repeat(3 * z[:, None], 20, 1), atol=1e-4)
    assert body["how"] == "model density"


def test_where_axes_go_has_the_marginal_density():
    """p(R) = (1 + ½⟨R e_x, m⟩)/8π² with respect to the angle metric: R e_x has the density
    (1 + ½⟨u, m⟩)/4π per steradian, and R e_y and R e_z are uniform, 1/4π."""
    m = np.array([0.6, 0.0, 0.8])

    def log_prob(r):
        return jnp.log1p(0.5 * (r[:, :, 0] @ jnp.asarray(m, r.dtype))) - math.log(8 * math.pi**2)

    lat, lon = np.meshgrid(np.arange(4), np.arange(8), indexing="ij")
    lat, lon = np.radians((lat + 0.5) * 45 - 90), np.radians((lon + 0.5) * 45 - 180)
    u = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
    for axis in range(3):
        found, _ = OnSphere(axis=axis).raster(log_prob, None, 20)
        expected = np.log1p(0.5 * (u @ m)) if axis == 0 else np.zeros((4, 8))
        np.testing.assert_allclose(found, expected - math.log(4 * math.pi), atol=2e-6)


def test_draws_are_counted_by_solid_angle():
    """Σ p · (solid angle of the cell) = 1, and the only cell of a single rotation has all of it."""
    for draws in (_points(SO3(), 300), np.repeat(_points(SO3(), 1), 300, 0)):
        found, how = OnSphere(axis=2).raster(None, draws, 120)
        edges = np.radians(np.linspace(-90, 90, 13))
        angle = np.diff(np.sin(edges))[:, None] * (math.pi / 12)
        np.testing.assert_allclose((np.exp(found) * angle).sum(), 1.0, rtol=1e-12)
        assert how == "histogram of the draws"
    assert np.isfinite(found).sum() == 1
    assert OnSphere(axis=2).raster(None, draws[:100], 120) is None


def test_lines_are_cut_where_they_leave_the_square():
    """A curve across ±180° of T² is two pieces on the square, and one on the torus."""
    turn = np.radians([[170.0, 0], [175, 0], [179, 0], [-179, 0], [-175, 0]])
    shown = report.Explored(kernels=turn[None])
    scene = report.scene_of(Torus(2), [shown], data={"data": turn}).document()
    lengths = [next(a["lengths"] for a in _layers(s) if a["name"] == "kernels")
               for s in scene["stages"]]  # fmt: skip
    assert lengths == [[5], [3, 2]]


def test_products_have_a_stage_or_a_chart_for_each_factor():
    product = Product(Sphere(2), Torus(1), Euclidean(2))
    x = _points(product)
    scene = report.scene_of(product, [report.Explored(draws=x)], data={"data": x}).document()
    assert [stage["title"] for stage in scene["stages"]] == [
        "factor 1, S^2: globe", "factor 3, R^2: plane",
    ]  # fmt: skip
    (chart,) = scene["curves"]
    assert chart["title"] == "factor 2, T^1: density"
    # Histograms have area 1.
    for one in chart["series"]:
        edges, height = decoded(one["x"]).astype(float), decoded(one["y"]).astype(float)
        np.testing.assert_allclose(np.trapezoid(height, edges), 1.0, rtol=1e-4)


def test_several_runs_are_side_by_side_over_the_same_data():
    x, y = _points(Sphere(2)), _points(Sphere(2))
    runs = [report.Explored(name, draws=y) for name in ("a", "b", "c")]
    (stage,) = report.scene_of(Sphere(2), runs, data={"data": x}).document()["stages"]
    assert [body["title"] for body in stage["bodies"]] == ["a", "b", "c"]
    assert [layer["name"] for layer in stage["layers"]] == ["data"] and stage["same"]
    (stage, _) = report.scene_of(SO3(), [report.Explored("a", draws=_points(SO3()))] * 2,
                                 data={}).document()["stages"]  # fmt: skip
    assert len(stage["bodies"]) == 6 and stage["columns"] == 3 and not stage["same"]


def test_very_many_points_are_thinned_and_it_is_said():
    x = RNG.normal(size=(20_000, 2))
    (stage,) = report.scene_of(Euclidean(2), [report.Explored(draws=x)] * 3,
                               data={"data": x}).document()["stages"]  # fmt: skip
    (data,) = stage["layers"]
    assert data["name"] == "data (3,000 of 20,000)" and data["points"]["shape"] == [3000, 3]


def test_kernels_of_more_dimensions_are_their_axes():
    """On R³ lines from z − 2σE to z + 2σE."""
    mixture = WrappedMixture(
        Euclidean(3), background=UniformReference(Torus(3)), centres=jnp.ones((1, 3)),
        axes=jnp.eye(3)[None], variances=jnp.asarray([[1.0, 4.0, 9.0]]),
        log_weights=jnp.zeros(1), log_share=jnp.asarray(-jnp.inf),
    )  # fmt: skip
    lines = report.kernel_outlines(mixture, np.array([0]), 2.0)
    assert lines.shape == (3, 9, 3)
    np.testing.assert_allclose(lines[:, -1] - lines[:, 0], np.diag([4.0, 8.0, 12.0]), atol=1e-6)
    np.testing.assert_allclose(lines[:, 4], 1.0, atol=1e-6)


# -- the page ------------------------------------------------------------------------------------
class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.ids, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        self.tags.append((tag, facts))
        self.ids += [facts["id"]] if "id" in facts else []
        self.links += [facts["href"]] if "href" in facts else []


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    x = _points(Sphere(2))
    line = report.Series(HOSTILE, np.arange(2), np.array([1, np.nan]))
    scene = report.scene_of(
        Sphere(2), [report.Explored(HOSTILE, draws=x)], data={HOSTILE: x}, earth=True,
        curves=[report.Curves(HOSTILE, "x", "y", [line])],
    )  # fmt: skip
    path = report.write_report(
        tmp_path_factory.mktemp("page"), title=HOSTILE, metrics={"n": 3}, figures={}, scene=scene,
        findings=[report.Finding(HOSTILE, "bad", "copying"), report.Finding("fine", "good")],
        meanings={"copying": (HOSTILE, HOSTILE), "unasked": ("no", "no")},
    )  # fmt: skip
    return path.read_text()


def test_the_page_loads_nothing_and_lets_no_other_script_run(page):
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    body = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert body == [script()]
    digest = base64.b64encode(hashlib.sha256(body[0].encode()).digest()).decode()
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'"
    )
    reader = Reader()
    reader.feed(page)
    assert not [facts["src"] for _, facts in reader.tags if "src" in facts]
    assert all(link.startswith("#") and link[1:] in reader.ids for link in reader.links)
    assert reader.links == ["#means-copying"] and "means-unasked" not in reader.ids
    assert set(re.findall(r"https?://[^\"'` )]*", page)) == {
        "http://www.w3.org/1999/xhtml", "http://www.w3.org/2000/svg",
    }  # fmt: skip
    assert not re.search(r"\beval\(|new Function|fetch\(|XMLHttpRequest|import\(", page)


def test_hostile_names_are_text_in_the_page(page):
    reader = Reader()
    reader.feed(page)
    assert [tag for tag, _ in reader.tags if tag == "img"] == []
    assert [tag for tag, _ in reader.tags].count("script") == 2
    data = re.search(r'<script type="application/json" id="scene">(.*?)</script>', page)[1]
    scene = json.loads(data)
    (stage,) = scene["stages"]
    # Directions of writing are shown as escapes, as in all of the report.
    assert stage["layers"][0]["name"].endswith("\\u202eevil\\u2028")
    assert decoded(scene["curves"][0]["series"][0]["y"]).tolist() == [1.0]


def test_the_page_is_small(page):
    """The script is some 0.6 MB; coastlines 0.1 MB."""
    assert len(page) < 1_000_000


def test_a_report_without_a_scene_has_no_script(tmp_path):
    path = report.write_report(tmp_path, title="t", metrics={}, figures={})
    text = path.read_text()
    assert "<script" not in text and "script-src" not in text


# -- notebooks -------------------------------------------------------------------------------------
def test_tables_of_notebooks_are_text(tmp_path):
    """A data set whose columns have hostile names, its audit, a model and a history: tables with
    the numbers, and no element but those of a table."""
    name = "<img src=x onerror=alert(1)>"
    rows = RNG.normal(size=(60, 2))
    path = tmp_path / "t.csv"
    path.write_text("\n".join([f"{name},b", *(f"{a},{b}" for a, b in rows)]))
    data = sf.data.load(str(path), manifold="R^2", columns=f"{name},b")
    model = sf.models.HeatKernelDensity(Euclidean(2), jnp.zeros((3, 2)), jnp.ones(3))
    history = History(
        step=np.arange(3), loss=np.array([3.0, 1.0, 2.0]), val_step=np.arange(2),
        val_nll=np.array([np.nan, 0.5]), steps=1234, best_step=2, stopped=name, seconds=1.0,
        compile_seconds=0.5, train_seconds=0.5, seed=(0, 0),
    )  # fmt: skip
    for shown, word in (
        (data, "48 / 6 / 6"), (data.audit, "different points"), (model, "R^2"),
        (history, "1,234 (stopped: "), (history, "3 at first, 2 at last, at least 1"),
    ):  # fmt: skip
        reader = Reader()
        reader.feed(shown._repr_html_())
        assert word in shown._repr_html_()
        assert {tag for tag, _ in reader.tags} <= {"table", "caption", "tbody", "tr", "th", "td"}
    assert "&lt;img src=x" in data._repr_html_() and "&lt;img" in data.audit._repr_html_()
