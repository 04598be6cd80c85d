"""Pages in headless Chromium, from a file and without a network: what is drawn, what is said under
the pointer, keys, time, phones, the dark, paper, screen readers, browsers without WebGL."""

import math
import re

import numpy as np
import pytest
import report_pages as pages

pytest.importorskip("playwright", reason="playwright is not installed: pip install playwright")
pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(pages.chromium() is None,
                       reason="no Chromium: install one, or name it by SCOREFOLD_CHROMIUM"),
]  # fmt: skip

LARGEST, FIRST_PAINT = 5_000_000, 1000.0


@pytest.fixture(scope="module")
def playwright():
    with pages.started() as found:
        yield found


@pytest.fixture(scope="module")
def browser(playwright):
    found = pages.launch(playwright)
    yield found
    found.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def opened(browser, folder):
    """Opens a page by its title; at the end there must have been no error and no request."""
    contexts, wrong = [], []

    def open_page(title, **options):
        path = pages.make(title, folder)
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        sheet = context.new_page()
        sheet.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        sheet.on("pageerror", lambda error: wrong.append(str(error)))
        sheet.on("request", lambda r: wrong.append(r.url)
                 if not r.url.startswith(("file:", "data:", "blob:")) else None)  # fmt: skip
        sheet.goto(path.as_uri())
        sheet.wait_for_selector("html[data-ready]", state="attached")
        sheet.wait_for_timeout(200)
        return sheet

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def _ink(sheet):
    """Colours of the canvas that are not the paper, as a share of the pixels."""
    return sheet.evaluate("""() => {
        const { viewer } = window.scorefold;
        viewer.draw();
        const gl = viewer.renderer.getContext(), n = gl.drawingBufferWidth * gl.drawingBufferHeight;
        const pixels = new Uint8Array(4 * n);
        gl.readPixels(0, 0, gl.drawingBufferWidth, gl.drawingBufferHeight, gl.RGBA,
                      gl.UNSIGNED_BYTE, pixels);
        let ink = 0, sum = 0;
        for (let k = 0; k < n; k++) {
            ink += pixels[4 * k + 3] > 0;
            sum = (31 * sum + pixels[4 * k] + 3 * pixels[4 * k + 1] + 7 * pixels[4 * k + 2]) % 1e9;
        }
        return { share: ink / n, sum };
    }""")


@pytest.mark.parametrize("title", pages.PAGES)
def test_every_page_is_drawn_soon_and_small_and_without_a_network(opened, folder, title):
    sheet = opened(title)
    assert max(p.stat().st_size for p in folder.glob("*.html")) < LARGEST
    paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    assert sheet.evaluate(paint) < FIRST_PAINT
    assert sheet.title() != "broken" and sheet.locator("#explore").is_visible()
    if title == "circle":
        assert sheet.locator(".chart").count() == 2
        return
    for k in range(max(1, sheet.locator("#stage option").count())):
        if sheet.locator("#stage").count():
            sheet.select_option("#stage", str(k))
        # A ball of points has little ink, a sphere or a plane much.
        assert _ink(sheet)["share"] > 0.01


@pytest.mark.parametrize("title", pages.PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_nothing(opened, title, scheme, width):
    axe = pages.axe_source()
    if axe is None:
        pytest.skip("no axe-core: pip install axe-playwright-python, or name it by SCOREFOLD_AXE")
    sheet = opened(title, bypass_csp=True, color_scheme=scheme,
                   viewport={"width": width, "height": 844})  # fmt: skip
    sheet.evaluate(axe)
    found = sheet.evaluate(
        "axe.run().then((r) => r.violations.map((v) => [v.id, v.nodes.map((n) => n.html)]))"
    )
    assert found == []
    assert sheet.evaluate("document.documentElement.scrollWidth <= innerWidth")


def _said(sheet, x=0.5, y=0.5):
    """What is said under a place of the canvas, in shares of it."""
    box = sheet.locator("canvas").bounding_box()
    sheet.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    sheet.wait_for_timeout(150)
    return sheet.locator(".stage .readout").inner_text().replace("−", "-")


@pytest.mark.parametrize("title", ["sphere", "torus", "hyperbolic", "plane"])
def test_values_under_the_pointer_are_those_of_the_density(opened, title):
    """log p = 2 x₀ (on the torus 2 cos x₀) at the place that is said, read off the words."""
    sheet = opened(title)
    sheet.locator("canvas").scroll_into_view_if_needed()
    for x, y in ((0.5, 0.5), (0.45, 0.6), (0.56, 0.42)):
        if title == "torus":
            y += 0.25  # beside the hole
        said = _said(sheet, x, y)
        value = float(re.search(r"log density (-?[\d.e-]+) nats", said)[1])
        numbers = [float(n) for n in re.findall(r"-?[\d.]+", said.split(";")[0])]
        if title == "sphere":
            lat, lon = (math.radians(n) for n in numbers)
            lat, lon = (-lat if " S" in said.split(";")[0] or "° S" in said else lat,
                        -lon if "° W" in said else lon)  # fmt: skip
            expected = 2 * math.cos(lat) * math.cos(lon)
        elif title == "torus":
            first = float(re.search(r"angle 1 \(°\): (-?[\d.]+)", said)[1])
            expected = 2 * math.cos(math.radians(first))
        elif title == "hyperbolic":
            expected = 2 * math.cosh(numbers[0])
        else:
            expected = 2 * float(re.search(r"x1: (-?[\d.e-]+)", said)[1])
        assert abs(value - expected) < 0.02 * max(1.0, abs(expected)) + 0.02, said


def test_the_pointer_names_points(opened):
    sheet = opened("space")
    sheet.locator("canvas").scroll_into_view_if_needed()
    assert re.search(r"here: (training data|test data|draws).*, point \d+ at x1 ", _said(sheet))


@pytest.mark.parametrize("title", ["sphere", "torus", "rotations", "plane", "hyperbolic"])
def test_it_turns_and_zooms_by_mouse_and_by_keys(opened, title):
    sheet = opened(title)
    canvas = sheet.locator("canvas")
    canvas.scroll_into_view_if_needed()
    seen = [_ink(sheet)["sum"]]

    def changed():
        sheet.wait_for_timeout(200)
        seen.append(_ink(sheet)["sum"])
        return seen[-1] not in seen[:-1]

    box = canvas.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    sheet.mouse.move(*middle)
    sheet.mouse.down()
    sheet.mouse.move(middle[0] + 60, middle[1] + 25, steps=4)
    sheet.mouse.up()
    assert changed()
    sheet.mouse.wheel(0, -240)
    assert changed()
    for key in ("ArrowLeft", "ArrowUp", "+"):
        canvas.press(key)
        assert changed(), key
    canvas.press("0")
    sheet.wait_for_timeout(400)
    assert _ink(sheet)["sum"] == seen[0]
    # What is in the middle is said to those who do not see it.
    assert "in the middle: " in sheet.locator(".spoken").inner_text()
    for button in sheet.locator(".turning button").all():
        assert button.get_attribute("aria-label")


def test_the_wheel_scrolls_the_page_until_the_picture_is_chosen(opened):
    sheet = opened("sphere")
    before = _ink(sheet)["sum"]
    _said(sheet, 0.5, 0.3)
    sheet.mouse.wheel(0, 200)
    sheet.wait_for_timeout(300)
    assert sheet.evaluate("scrollY") > 0 and _ink(sheet)["sum"] == before


@pytest.mark.parametrize("title", ["sphere", "torus7", "rotations", "sphere, three runs"])
def test_every_toggle_changes_the_picture_and_gives_it_back(opened, title):
    sheet = opened(title)
    ticks = sheet.locator(".stage .toggles input").all()
    names = [tick.locator("xpath=..").inner_text().strip() for tick in ticks]
    for word in ("training data", "test data", "draws", "kernels"):
        assert any(name.startswith(word) for name in names), names
    assert names[0] in ("model density", "histogram of the draws")
    for name, tick in zip(names, ticks, strict=True):
        first = _ink(sheet)["sum"]
        tick.press("Space")
        sheet.wait_for_timeout(120)
        assert _ink(sheet)["sum"] != first, name
        tick.press("Space")
        sheet.wait_for_timeout(120)
        assert _ink(sheet)["sum"] == first, name


def test_runs_are_turned_together_and_read_off_together(opened):
    sheet = opened("sphere, three runs")
    assert sheet.locator(".body-title").all_inner_texts() == ["run 1", "run 2", "run 3"]
    said = _said(sheet, 0.25, 0.25)
    assert all(f"run {k}: log density" in said for k in (1, 2, 3))


@pytest.mark.parametrize("title", ["sphere, moving", "torus, moving", "plane, moving"])
def test_paths_are_played(opened, title):
    """To the end in six seconds, by a button; and to a time by a slider, with its words."""
    sheet = opened(title)
    slider, play = sheet.locator("#time"), sheet.locator(".player button")
    first = _ink(sheet)["sum"]
    slider.focus()
    slider.press("End")
    assert sheet.locator(".player output").inner_text() == "t = 1"
    assert slider.get_attribute("aria-valuetext") == "t = 1"
    sheet.wait_for_timeout(150)
    assert _ink(sheet)["sum"] != first
    slider.press("Home")
    play.click()
    assert play.inner_text() == "Pause"
    sheet.wait_for_timeout(1500)
    play.click()
    reached = int(slider.input_value())
    assert 100 < reached < 900 and play.inner_text() == "Play"
    sheet.locator("canvas").press(" ")
    for _ in range(100):
        sheet.wait_for_timeout(200)
        if slider.input_value() == "1000":
            return
    raise AssertionError("it does not come to its end")


def test_points_on_their_way_are_where_the_paths_are(opened):
    """Half-way between two frames: the mean of both, in float32."""
    sheet = opened("plane, moving")
    found = sheet.evaluate("""() => {
        const { viewer } = window.scorefold;
        viewer.go(0.5 / 40);
        const one = viewer.bodies[0].layers.find((l) => l.layer.moving);
        const all = new Float32Array(Uint8Array.from(atob(one.layer.moving.f4),
          (c) => c.charCodeAt(0)).buffer), n = one.layer.moving.shape[1] * 3;
        return [[...one.object.geometry.attributes.position.array], [...all.slice(0, n)],
                [...all.slice(n, 2 * n)]];
    }""")
    now, before, after = np.array(found)
    np.testing.assert_allclose(now, (before + after) / 2, atol=1e-6)


def test_a_chart_is_read_off(opened):
    """1st record: cos 0 + 100/9 = 12.11, at step 0."""
    sheet = opened("circle")
    chart = sheet.locator(".charted").filter(has_text="Training loss")
    slider = chart.locator("input[type=range]")
    slider.focus()
    slider.press("Home")
    said = chart.locator(".readout").inner_text()
    assert said == "step 0: each record 12.11; validation 11.11"
    chart.locator(".toggles input").first.press("Space")
    assert chart.locator(".readout").inner_text() == "step 0: validation 11.11"


def test_without_webgl_one_line_says_so_and_the_pictures_are_there(playwright, folder):
    path, found = pages.make("sphere", folder), pages.launch(playwright, webgl=False)
    sheet = found.new_context(offline=True).new_page()
    sheet.goto(path.as_uri())
    sheet.wait_for_selector("html[data-ready]", state="attached")
    assert sheet.locator(".missing").is_visible() and not sheet.locator("canvas").is_visible()
    assert sheet.locator("figure img").first.is_visible()
    assert sheet.locator(".chart").is_visible()
    found.close()


def test_without_scripts_and_on_paper_there_are_the_pictures(browser, folder, opened):
    path = pages.make("sphere", folder)
    sheet = browser.new_context(offline=True, java_script_enabled=False).new_page()
    sheet.goto(path.as_uri())
    assert not sheet.locator("#explore").is_visible()
    assert sheet.locator("figure img").first.is_visible()
    sheet = opened("sphere")
    sheet.emulate_media(media="print")
    assert not sheet.locator("#explore").is_visible()
    assert sheet.locator("figure img").first.is_visible()


def test_verdicts_lead_to_what_they_mean(opened):
    sheet = opened("plane")
    sheet.locator(".findings a").first.click()
    assert sheet.url.endswith("#means-copying")
    assert sheet.locator("#means-copying").is_visible()
