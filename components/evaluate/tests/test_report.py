"""The report shows everything, loads nothing, and lets no label be markup."""

import base64
import io
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate.report.matrix import MOST_LABELS, matrix_of
from components.evaluate.report.training import read_exports
from components.evaluate.tests.small_artifacts import (
    fitted,
    png,
    read_results,
    run_evaluate,
    write_examples,
    write_model,
)
from darkroom.answers.answers import SingleLabelAnswers
from darkroom.artifacts.evaluation import read_evaluation
from darkroom.artifacts.predictions import read_prediction_rows
from darkroom.thumbnails import thumbnail

pytestmark = pytest.mark.slow

FLOWERS = Path(__file__).parents[3].parent / "shared" / "data" / "flowers"
HOSTILE = "<b>x"


class Page(HTMLParser):
    """What a page holds: its elements, their attributes and its text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def assert_loads_nothing(source: str) -> None:
    page = Page(source)
    for tag, attributes in page.elements:
        assert tag not in {"link", "iframe", "object", "base"}
        assert tag != "script" or set(attributes) <= {"type", "id"}
        for name in ("src", "srcset", "href", "xlink:href", "data", "action"):
            value = attributes.get(name) or "#"
            assert value.startswith(("data:image/", "#")), (tag, name, value)
    # The script that draws charts names addresses, but asks none: test_report_in_browser.py.
    written = source.partition('<script type="module">')[0]
    assert "http" not in written
    assert "@import" not in source


def pictures(source: str) -> list[Any]:
    from PIL import Image

    sources = [str(attributes["src"]) for attributes in Page(source).having("img")]
    return [
        Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2]))) for uri in sources
    ]


@pytest.mark.slow
def test_the_page_carries_all_it_shows(digits_run: Any) -> None:
    assert_loads_nothing(digits_run.report)
    assert len(digits_run.report) < 3_000_000
    page = Page(digits_run.report)
    assert page.having("html")[0]["lang"] == "en"
    assert any(attributes.get("name") == "viewport" for attributes in page.having("meta"))
    images = page.having("img") + page.having("svg")
    assert all(attributes.get("alt") or attributes.get("aria-label") for attributes in images)


@pytest.mark.slow
def test_the_page_tells_the_verdict_the_numbers_and_the_training(digits_run: Any) -> None:
    texts = Page(digits_run.report).texts
    assert "Not blessed" in texts
    reasons = list(digits_run.evaluation.reasons)
    assert len(reasons) > 10
    start = texts.index(reasons[0])
    assert texts[start : start + 11] == [*reasons[:10], f"and {len(reasons) - 10} more"]
    metrics = digits_run.evaluation.metrics
    assert {f"{value:.3f}" for value in metrics.values()} <= set(texts)
    descriptions = [svg["aria-label"] for svg in Page(digits_run.report).having("svg")]
    assert [str(text).split()[0] for text in descriptions] == [
        *("ROC", "Precision-recall", "Reliability:", "Loss", "Accuracy")
    ]
    assert "fine_tune" in digits_run.report


@pytest.mark.slow
def test_the_page_tells_of_the_further_forms(digits_run: Any) -> None:
    texts = Page(digits_run.report).texts
    start = texts.index("Same label") + 1
    dash = "\N{EN DASH}"
    assert texts[start : start + 14] == [
        *("SavedModel", ".", "4.6 MB", "7.2 ms", "0.910", dash, dash),
        *("TensorFlow Lite, int8", "exports/model_int8.tflite", "0.6 MB", "0.5 ms", "0.905"),
        *("0.03", "98.5 %"),
    ]


@pytest.mark.parametrize("content", ["{", "{}", '{"images": 1, "forms": [{"form": "onnx"}]}'])
def test_forms_that_cannot_be_read_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    assert read_exports(tmp_path) is None
    assert not caplog.records
    (tmp_path / "exports.json").write_text(content)
    assert read_exports(tmp_path) is None
    assert "has no table of exports: cannot read" in caplog.text


@pytest.mark.slow
def test_the_worst_mistakes_are_shown_surest_first_and_enlarged(digits_run: Any) -> None:
    wrong = sorted(
        (max(row["probabilities"]), row["image_path"])
        for row in read_prediction_rows(digits_run.evaluation.folder)
        if row["label"] != row["predicted_label"]
    )
    worst = [path for _, path in reversed(wrong[-24:])]
    shown = [text for text in Page(digits_run.report).texts if text.startswith("scans/")]
    assert shown[: len(worst)] == worst
    assert {picture.size for picture in pictures(digits_run.report)} == {(160, 160)}


@pytest.mark.slow
def test_two_labels_with_hostile_names_not_a_number_and_no_history(tmp_path: Path) -> None:
    generator = np.random.default_rng(5)
    images = generator.integers(40, 256, (40, 8, 8)).astype(np.uint8)
    targets = np.arange(40) % 2
    images[targets == 0, :, :4] //= 2
    weights, bias = fitted(images, targets, strength=0.01)
    images[10:15] = 0
    labels = [HOSTILE, 'it\'s <i>"plain"</i> & $simple$']
    rows: list[dict[str, Any]] = [
        {
            "image_bytes": png(image),
            "image_path": f"<script>alert({number})</script>.png",
            "label": labels[target],
            "site": "<u>attic</u>" if number < 20 else "C:\\cellar",
        }
        for number, (image, target) in enumerate(zip(images, targets, strict=True))
    ]
    examples = write_examples(tmp_path / "examples", rows, {"site": "bytes"})
    columns = np.stack([-weights[:, 0], weights[:, 0]], axis=1)
    bias = np.array([-bias[0], bias[0]])
    model = write_model(tmp_path / "model", labels, columns, bias, sure_of_dark=False)
    verdict, evaluation, report = run_evaluate(examples, model, {"slices": ["site"]}, tmp_path)
    source = report.read_text(encoding="utf-8")
    assert_loads_nothing(source)
    page = Page(source)
    assert not {"b", "i", "u"} & {tag for tag, _ in page.elements}
    assert all("alert" not in str(each) for each in page.having("script"))
    assert {HOSTILE, "<u>attic</u>", "C:\\cellar"} <= set(page.texts)
    assert "The model has no history.json, so there are no curves to show." in page.texts
    assert "Export formats" not in page.texts

    stored = read_evaluation(evaluation)
    assert verdict == "not blessed"
    assert stored.reasons == ("the probabilities of 5 images are not numbers",)
    assert stored.metrics["log_loss"] is stored.metrics["auc"] is None
    assert "top_3_accuracy" not in stored.metrics
    assert sum(None in row["probabilities"] for row in read_prediction_rows(stored.folder)) == 5
    losses = {
        result["slice"]["site"]: result["metrics"]["log_loss"]
        for result in read_results(evaluation)[1:]
    }
    assert losses["<u>attic</u>"] is None
    assert losses["C:\\cellar"] is not None


@pytest.mark.slow
@pytest.mark.skipif(not FLOWERS.is_dir(), reason=f"no photographs in {FLOWERS}")
def test_a_report_on_photographs(tmp_path: Path) -> None:
    from PIL import Image

    labels = sorted(folder.name for folder in FLOWERS.iterdir() if folder.is_dir())
    files = [
        (file, label) for label in labels for file in sorted((FLOWERS / label).glob("*.jpg"))[:12]
    ]
    rows: list[dict[str, Any]] = [
        {
            "image_bytes": file.read_bytes(),
            "image_path": str(file.relative_to(FLOWERS)),
            "label": label,
        }
        for file, label in files
    ]
    generator = np.random.default_rng(11)
    weights = generator.normal(0, 0.1, (256, len(labels))).astype(np.float32)
    bias = np.zeros(len(labels), np.float32)
    examples = write_examples(tmp_path / "examples", rows, {})
    model = write_model(tmp_path / "model", labels, weights, bias)
    verdict, _, report = run_evaluate(examples, model, {}, tmp_path)
    source = report.read_text(encoding="utf-8")
    assert verdict == "blessed"
    assert "No thresholds are set, so nothing could fail." in Page(source).texts
    assert_loads_nothing(source)
    assert len(source) < 3_000_000
    shown = pictures(source)
    assert 36 <= len(shown) <= 120  # mistakes, the least sure, likely wrong labels, and cells
    assert all(max(picture.size) == 160 for picture in shown)
    with Image.open(io.BytesIO(rows[0]["image_bytes"])) as original:
        small = pictures(f'<img src="{thumbnail(rows[0]["image_bytes"], 160)}">')[0]
        ratio = original.width / original.height
    assert small.width / small.height == pytest.approx(ratio, rel=0.02)


@pytest.mark.parametrize("count", [2, MOST_LABELS, 300])
def test_the_confusion_matrix_shows_the_labels_that_are_confused(count: int) -> None:
    labels = tuple(f"label {number:03}" for number in range(count))
    indices = np.repeat(np.arange(count), 3)
    predicted = indices.copy()
    predicted[0], predicted[-1] = count - 1, 0  # the first and the last are taken for each other
    answers = SingleLabelAnswers(labels, np.eye(count, dtype=np.float32)[predicted], indices)
    matrix = matrix_of(answers, {(0, count - 1): []})
    assert len(matrix.labels) == min(count, MOST_LABELS)
    assert matrix.left_out == max(0, count - MOST_LABELS)
    assert (matrix.labels[0], matrix.labels[-1]) == (labels[0], labels[-1])
    assert matrix.rows[0][-1].count == 1
    assert matrix.rows[0][-1].key == f"0-{count - 1}"
    assert (matrix.rows[0][0].count, matrix.rows[0][0].key) == (2, "")
    assert matrix.rows[0][0].share == pytest.approx(2 / 3)
