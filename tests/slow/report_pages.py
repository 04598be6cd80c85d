"""Pages of every geometry for the tests in a browser, and what starts one.

    python tests/slow/report_pages.py

makes them, and prints for each its size, the time to the first paint offline, the time until it can
be explored, and how many rules of axe-core it breaks.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import shutil
import tempfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from scorefold import report
from scorefold.manifolds import SO3, Euclidean, Hyperbolic, Manifold, Product, Sphere, Torus

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
HOSTILE = "</script><script>document.title='broken'</script>"
N = 2000


def chromium() -> str | None:
    """The path of a Chromium: ``SCOREFOLD_CHROMIUM``, or one that is installed."""
    named = [os.environ.get("SCOREFOLD_CHROMIUM"), *map(shutil.which, (
        "chromium", "chromium-browser", "google-chrome"))]  # fmt: skip
    return next(filter(None, named), None)


def axe_source() -> str | None:
    """The script of axe-core: ``SCOREFOLD_AXE``, or that of the package axe-playwright-python."""
    if "SCOREFOLD_AXE" in os.environ:
        return Path(os.environ["SCOREFOLD_AXE"]).read_text()
    with contextlib.suppress(ImportError):
        import axe_playwright_python

        found = list(Path(axe_playwright_python.__file__).parent.rglob("axe.min.js"))
        return found[0].read_text() if found else None
    return None


def points(manifold: Manifold, seed: int, n: int = N) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if isinstance(manifold, Product):
        parts = [points(m, seed + k, n).reshape(n, -1) for k, m in enumerate(manifold.factors)]
        return np.concatenate(parts, axis=1)
    if isinstance(manifold, SO3):
        q = np.linalg.qr(np.eye(3) + 0.4 * rng.normal(size=(n, 3, 3)))[0]
        return q * np.linalg.det(q)[:, None, None]
    x = rng.normal(size=(n, *manifold.shape))
    if isinstance(manifold, Sphere):
        x[:, 0] += 2.0
        return x / np.linalg.norm(x, axis=1, keepdims=True)
    if isinstance(manifold, Hyperbolic):
        x = 0.5 * x
        return np.concatenate([np.sqrt(1 + (x[:, 1:] ** 2).sum(-1, keepdims=True)), x[:, 1:]], -1)
    return (x + math.pi) % (2 * math.pi) - math.pi if isinstance(manifold, Torus) else x


def steep(x):
    """log p = 2 x₀ up to a constant: not normalised, and known at every place."""
    return 2.0 * x.reshape(len(x), -1)[:, 0]


def round_and_round(x):
    """The same on angles, log p = 2 cos x₀."""
    return 2.0 * jnp.cos(x[:, 0])


MANIFOLDS = {
    "sphere": Sphere(2), "torus": Torus(2), "torus7": Torus(7), "rotations": SO3(),
    "hyperbolic": Hyperbolic(2), "plane": Euclidean(2), "space": Euclidean(4),
    "circle": Torus(1), "product": Product(Sphere(2), Torus(1), Euclidean(2)),
}  # fmt: skip


def page(name: str, folder: Path, runs: int = 1, *, moving: bool = False) -> Path:
    """The page of a made-up law: density, data, draws and kernels, or points on their way."""
    manifold = MANIFOLDS[name]
    x, y, z = (points(manifold, seed) for seed in (1, 2, 3))
    law = round_and_round if manifold.toral else steep
    exact = manifold.picture != "factors" and manifold.dim <= 3
    if moving:
        ways = np.stack([np.where(t < 0.5, x, y) for t in np.linspace(0, 1, 41)], 1)
        shown = [report.Explored(ways=ways, times=np.linspace(0, 1, 41).tolist())]
    else:
        kernels = None if manifold.picture == "factors" else np.stack([x[:50], y[:50], x[:50]], 1)
        shown = [
            report.Explored(f"run {k + 1}" if runs > 1 else "", law if exact else None, z, kernels)
            for k in range(runs)
        ]
    step = np.arange(400.0)
    loss = report.Curves("Training loss", "step", "loss", [
        report.Series("each record", step, np.cos(step) + 100 / (step + 9), faint=True),
        report.Series("validation", step[::40], 100 / (step[::40] + 9), marks=True),
    ])  # fmt: skip
    scene = report.scene_of(
        manifold, shown, data={"training data": x, f"test data {HOSTILE}": y[:500]}, curves=[loss],
        earth=True,
    )  # fmt: skip
    figure = report.picture(manifold, samples=z, data=x, pixels=60)
    return report.write_report(
        folder / f"{name}{'-moving' if moving else ''}{runs if runs > 1 else ''}.html",
        title=f"{manifold.name} {HOSTILE}", metrics={"test_nll": 1.0, "model": HOSTILE},
        figures={"Density, data and samples": figure}, scene=scene, beside=False,
        tables={"Several": [["number", "run 1", HOSTILE], ["a", "1", "2"]]},
        findings=[report.Finding("Draws look like fresh data.", "good", "copying"),
                  report.Finding(f"The bridge misses {HOSTILE}.", "bad", "arrival")],
        meanings={"copying": ("copying", "A copy is near."), "arrival": ("arrival", "Of points.")},
    )  # fmt: skip


PAGES = {
    **{name: {} for name in MANIFOLDS},
    "sphere, three runs": {"name": "sphere", "runs": 3},
    "sphere, moving": {"name": "sphere", "moving": True},
    "torus, moving": {"name": "torus", "moving": True},
    "plane, moving": {"name": "plane", "moving": True},
}


@functools.cache
def make(title: str, folder: Path) -> Path:
    """The page of a title, made once."""
    facts = dict(PAGES[title])
    return page(facts.pop("name", title), folder, **facts)


@contextlib.contextmanager
def started():
    """Playwright, which starts browsers by ``launch``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as found:
        yield found


def launch(playwright, *, webgl: bool = True):
    """A fresh Chromium, with WebGL in software or with none."""
    flags = FLAGS + (WEBGL if webgl else ["--disable-3d-apis"])
    return playwright.chromium.launch(executable_path=chromium(), headless=True, args=flags)


def main() -> None:
    axe, folder = axe_source(), Path(tempfile.mkdtemp())
    print("page | bytes | first paint (ms) | explorable (ms) | axe rules broken")
    with started() as playwright:
        browser = launch(playwright)
        for title in PAGES:
            path = make(title, folder)
            context = browser.new_context(offline=True, bypass_csp=True)
            sheet = context.new_page()
            sheet.goto(path.as_uri())
            sheet.wait_for_selector("html[data-ready]", state="attached")
            paint, ready = sheet.evaluate(
                "[performance.getEntriesByName('first-contentful-paint')[0].startTime,"
                " performance.now()]"
            )
            broken = "not tried"
            if axe:
                sheet.evaluate(axe)
                broken = sheet.evaluate("axe.run().then((r) => r.violations.length)")
            print(f"{title} | {path.stat().st_size:,} | {paint:.0f} | {ready:.0f} | {broken}")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
