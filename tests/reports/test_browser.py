"""Reports in a browser without a window: nothing overflows, headings sort, dark and light differ, nothing is fetched.

Needs Chromium and playwright (``pip install playwright``), and is skipped where one of them is missing.
"""

import shutil

import pandas as pd
import pytest

import radioopt as ro

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (400, 800, 1400)
KEYS = "rows => rows.map(row => row.cells[1].dataset.key ?? row.cells[1].textContent)"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory, run):
    """A page on each kind of subject, with names that would do harm if they could."""
    from learning.runs.read import RunComparison

    folder = tmp_path_factory.mktemp("pages")
    names = ["<script>document.title='run'</script>", "a" * 80, *map(str, range(10))]
    named = ro.Scenario.load("feel-cpu", devices=pd.DataFrame({"name": names}))
    found = {}
    for name, scenario in {"feel": named, "d2d": ro.Scenario.load("d2d", {"devices.count": 12})}.items():
        solution = scenario.draw(seed=0).problem(name).solve(throw=False)
        found[name] = ro.report(folder / f"{name}.html", solution, scenario=scenario)
    speeds = {"runs/a": 1.0, f"runs/{'b' * 70}": 2.0}
    found["sweep"] = ro.report(
        folder / "sweep.html",
        ro.sweep("fimi", {"bandwidth_hz": [2e6, 1e7, 2e7], "devices.count": [4, 8]}, draws=3, progress=False),
    )
    runs = RunComparison({name: [run(name, speed)] for name, speed in speeds.items()})
    found["runs"] = ro.report(folder / "runs.html", runs)
    return found


@pytest.fixture
def opened(browser, pages):
    """Open a page, and see to it that it fetched nothing and complained of nothing."""
    complaints, shown = [], []

    def open_page(name, width=800, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: complaints.append(request.url) if shown.count(page) else shown.append(page),
        )
        page.goto(pages[name].as_uri())
        return page

    yield open_page
    for page in shown:
        page.close()
    assert [text for text in complaints if not text.startswith("data:")] == []


@pytest.mark.parametrize("name", ["feel", "d2d", "runs", "sweep"])
def test_nothing_overflows(opened, name):
    for width in WIDTHS:
        page = opened(name, width)
        inner = "[...document.querySelectorAll('.drawing svg')].map(one => one.getBoundingClientRect().right)"
        assert max(page.evaluate(inner)) <= width  # no picture is cut
        rows = "[...document.querySelectorAll('tbody tr')].map(one => one.getBoundingClientRect().height)"
        assert width > 400 or max(page.evaluate(rows)) <= 80  # nor is a row as tall as what is out of sight
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.title") != "run"


def test_a_click_on_a_heading_sorts_by_number_and_another_turns_it_round(opened):
    page = opened("feel")
    table = page.locator("table", has=page.locator("th", has_text="uplink slot")).last
    batch = table.locator("th button").nth(1)
    rows = table.locator("tbody tr")
    batch.click()
    up = [float(key) for key in rows.evaluate_all(KEYS)]
    assert up == sorted(up)
    assert len(set(up)) > 3
    batch.click()
    assert [float(key) for key in rows.evaluate_all(KEYS)] == up[::-1]
    assert table.locator("th").nth(1).get_attribute("aria-sort") == "descending"
    table.locator("th button").nth(0).focus()
    page.keyboard.press("Enter")
    assert table.locator("th").nth(0).get_attribute("aria-sort") == "ascending"


def test_dark_is_the_systems_until_the_switch_is_used(opened):
    colour = "getComputedStyle(document.body).backgroundColor"
    light, dark = opened("feel", scheme="light"), opened("feel", scheme="dark")
    assert light.evaluate(colour) == "rgb(245, 246, 248)"
    assert dark.evaluate(colour) == "rgb(20, 23, 27)"
    frame = "getComputedStyle(document.querySelector('svg text')).fill"
    assert light.evaluate(frame) != dark.evaluate(frame)
    dark.locator("#switch").click()
    assert dark.evaluate(colour) == "rgb(245, 246, 248)"
    assert dark.evaluate(frame) == light.evaluate(frame)
    dark.emulate_media(media="print")
    assert dark.locator("#switch").is_hidden()


def test_names_are_letters(opened):
    page = opened("feel")
    assert page.locator("td", has_text="<script>document.title='run'</script>").count() >= 1
    assert page.locator("script").count() == 1
