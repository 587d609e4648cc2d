"""The report in Chromium: it asks nothing of the network, and its parts do what they offer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.tests.conftest import Run
from components.evaluate.tests.small_artifacts import (
    png,
    run_evaluate,
    write_examples,
    write_model,
)
from darkroom.artifacts.predictions import read_prediction_rows

pytestmark = pytest.mark.slow

WIDTHS = (1280, 390)


def opened(browser: Any, report: Path, **options: Any) -> tuple[Any, list[str]]:
    """The page, its charts drawn, and what went wrong or was asked of the network."""
    problems: list[str] = []
    page = browser.new_page(**options)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith(("file:", "data:")) else problems.append(asked.url)
        ),
    )
    page.goto(report.absolute().as_uri())
    page.wait_for_function(
        "document.querySelectorAll('figure.chart:not([data-drawn])').length === 0"
    )
    return page, problems


@pytest.fixture(scope="module")
def digits_report(digits_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    file.write_text(digits_run.report, encoding="utf-8")
    return file


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_screen_and_asks_nobody(
    browser: Any, digits_report: Path, width: int, scheme: str
) -> None:
    page, problems = opened(
        browser, digits_report, viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_a_curve_is_read_off_by_pointing(browser: Any, digits_report: Path) -> None:
    page, _ = opened(browser, digits_report, viewport={"width": 1280, "height": 800})
    chart = page.locator("figure.chart svg[aria-label^='ROC']")
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    page.mouse.move(box["x"] + 120, box["y"] + 100)
    page.mouse.move(box["x"] + 124, box["y"] + 104)
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert "At threshold" in page.locator("#vg-tooltip-element").inner_text()
    page.close()


def test_tables_are_sorted_and_filtered(browser: Any, digits_report: Path) -> None:
    page, _ = opened(browser, digits_report)
    table = page.locator("table[data-about=labels]")

    def column(number: int) -> list[str]:
        cells = table.locator(f"tbody tr:visible td:nth-child({number})")
        return [text.strip() for text in cells.all_inner_texts()]

    recall = table.get_by_role("button", name="Recall")
    recall.click()
    rising = [float(text) for text in column(4)]
    assert rising == sorted(rising)
    assert len(set(rising)) > 3
    recall.click()
    assert [float(text) for text in column(4)] == rising[::-1]
    assert table.locator("th[aria-sort=descending]").inner_text().startswith("Recall")
    page.get_by_label("Filter: labels").fill("7")
    assert column(1) == ["7"]
    page.close()


def test_a_cell_of_the_matrix_opens_its_photographs(
    browser: Any, digits_report: Path, digits_run: Run
) -> None:
    page, _ = opened(browser, digits_report)
    cell = page.locator("button.cell").first
    name = cell.get_attribute("aria-label")
    label, predicted, count = (
        name.partition(",")[0],
        name.partition("taken for ")[2].partition(":")[0],
        int(name.rpartition(": ")[2]),
    )
    cell.press("Enter")  # by keyboard, too
    dialog = page.locator("dialog#cell")
    assert dialog.is_visible()
    shown = [text.split("/")[-1] for text in dialog.locator("small").all_inner_texts()]
    right = {
        row["image_path"].split("/")[-1]
        for row in read_prediction_rows(digits_run.evaluation.folder)
        if (row["label"], row["predicted_label"]) == (label, predicted)
    }
    assert len(right) == count
    assert shown
    assert set(shown) <= right
    assert dialog.locator("img").count() == len(shown)
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.close()


def test_the_slider_shows_what_a_threshold_gives(browser: Any, tmp_path: Path) -> None:
    generator = np.random.default_rng(6)
    images = generator.integers(0, 256, (60, 8, 8)).astype(np.uint8)
    bright = images.mean(axis=(1, 2)) + generator.normal(0, 4, 60) > 127
    rows = [
        {"image_bytes": png(image), "image_path": f"{number}.png", "label": "ny"[int(is_bright)]}
        for number, (image, is_bright) in enumerate(zip(images, bright, strict=True))
    ]
    weights = np.stack([-np.ones(64), np.ones(64)], axis=1).astype(np.float32) / np.float32(8)
    bias = np.array([4.0, -4.0], np.float32)
    examples = write_examples(tmp_path / "examples", rows, {})
    model = write_model(tmp_path / "model", ["n", "y"], weights, bias)
    _, evaluation, report = run_evaluate(examples, model, {}, tmp_path)
    page, problems = opened(browser, report)
    assert problems == []
    page.select_option("#label", "y")

    stored = list(read_prediction_rows(evaluation))
    for threshold in (0.3, 0.5, 0.62):
        page.locator("#threshold").fill(str(threshold))
        found = [row for row in stored if round(row["probabilities"][1], 5) >= threshold]
        right = sum(row["label"] == "y" for row in found)
        assert page.locator("#at-found").inner_text() == f"{len(found)} of 60"
        assert page.locator("#at-precision").inner_text() == f"{right / len(found):.3f}"
        of_label = sum(row["label"] == "y" for row in stored)
        assert page.locator("#at-recall").inner_text() == f"{right / of_label:.3f}"
    page.close()


def test_it_prints_without_what_only_a_browser_does(browser: Any, digits_report: Path) -> None:
    page, _ = opened(browser, digits_report)
    page.emulate_media(media="print")
    assert page.locator("input[type=search]:visible").count() == 0
    assert page.locator("figure.chart svg:visible").count() == 5
    page.close()
