"""The page in Chromium: on a desk and on a phone, as a file and live."""

import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.monitor.page.page import write_page

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
DESK = {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture(scope="module")
def page(month: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("page") / "page.html"
    write_page(month, file, title="flowers")
    return file.as_uri()


def opened(browser: Any, address: str, **options: Any) -> tuple[Any, list[str]]:
    """The page, and what it said in the console or asked of others."""
    problems: list[str] = []
    found = browser.new_page(**options)
    found.on("pageerror", lambda error: problems.append(str(error)))
    found.on("console", lambda said: problems.append(said.text))
    own = (address, "data:")
    found.on(
        "request",
        lambda asked: None if asked.url.startswith(own) else problems.append(asked.url),
    )
    found.goto(address, timeout=120_000)  # the first one is drawn meanwhile
    return found, problems


@pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_asks_nobody(
    browser: Any, page: str, screen: dict[str, Any], scheme: str
) -> None:
    found, problems = opened(browser, page, color_scheme=scheme, **screen)
    width = screen["viewport"]["width"]
    assert found.get_by_role("heading", name="2 alerts are open").is_visible()
    assert found.get_by_text("Under the floor: accuracy").is_visible()
    for details in found.locator("details").all():
        details.evaluate("one => one.open = true")
    assert found.evaluate("document.documentElement.scrollWidth") <= width
    drawn = found.locator("figure.chart svg:visible")
    assert drawn.count() > 20
    for chart in drawn.all():
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["x"] + box["width"] <= width
        assert len(chart.get_attribute("aria-label") or "") > 20
    # Letters that can be read.
    sizes = found.locator("figure.chart svg:visible").evaluate_all(
        "all => all.map(one => 11 * one.getBoundingClientRect().width / one.viewBox.baseVal.width)"
    )
    assert min(sizes) > 8.5
    order = found.locator("h1, h2, h3").evaluate_all("all => all.map(one => one.tagName)")
    assert order[0] == "H1"
    assert order.count("H1") == 1
    assert problems == []
    found.close()


def test_values_are_read_by_pointing_and_any_slice_is_chosen(browser: Any, page: str) -> None:
    found, problems = opened(browser, page, **DESK)
    figure = found.locator("figure.chart.wide")
    figure.hover()
    found.locator("figure.chart.wide[data-drawn]").wait_for()
    assert "Accuracy of" in (figure.locator("svg").get_attribute("aria-label") or "")
    chooser = found.locator("#slice-chooser")
    chooser.locator("figure[data-drawn]").wait_for()
    select = found.get_by_label("Any other slice")
    names = select.locator("option").all_inner_texts()
    assert len(names) == 27
    select.select_option(label="label=daisy")
    chooser.get_by_role("img", name="Accuracy of label=daisy").wait_for()
    dots = chooser.locator("svg path[aria-roledescription=point], svg .mark-symbol path")
    assert dots.count() > 20
    found.reload()
    assert found.get_by_label("Any other slice").input_value() == str(names.index("label=daisy"))
    assert problems == []
    found.close()


def test_without_script_all_is_there_but_the_choice(browser: Any, page: str) -> None:
    context = browser.new_context(java_script_enabled=False, **DESK)
    found = context.new_page()
    found.goto(page)
    assert found.locator("figure.chart.wide svg").is_visible()
    assert not found.get_by_label("Any other slice").is_visible()
    found.get_by_text("Windows", exact=True).click()
    assert found.get_by_role("columnheader", name="Moving average").is_visible()
    context.close()


@contextlib.contextmanager
def live(database: Path) -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "components.monitor.page", str(database), "--port", "0"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if address := re.search(r"http://127\.0\.0\.1:\d+/", line):
                yield address[0]
                break
        else:
            pytest.fail("it did not say where it listens")
    finally:
        process.terminate()
        assert process.wait(30) in (0, -15)


def test_the_live_page_shows_new_figures_by_itself(
    browser: Any, month: Path, tmp_path: Path
) -> None:
    database = Path(shutil.copy(month, tmp_path / "monitor.db"))
    with live(database) as address:
        found, problems = opened(browser, address, **DESK)
        assert found.get_by_role("heading", name="2 alerts are open").is_visible()
        found.locator("figure.chart.wide").hover()
        found.locator("figure.chart.wide[data-drawn]").wait_for()
        connection = sqlite3.connect(database)
        connection.execute("UPDATE alerts SET closed = 1")
        connection.commit()
        connection.close()
        found.get_by_role("heading", name="No alert is open").wait_for(timeout=60_000)
        assert problems == []
    note = found.get_by_text("the server does not answer: these are its last figures")
    note.wait_for(timeout=30_000)
    found.close()
