"""The model card is one that Hugging Face's hub reads, and says what was measured."""

from pathlib import Path
from typing import Any

import pytest

from components.evaluate.tests.conftest import Run
from components.evaluate.tests.small_artifacts import run_evaluate
from darkroom.artifacts.evaluation import MODEL_CARD_FILE

pytestmark = pytest.mark.slow

STATED = {
    "name": "digit reader",
    "license": "apache-2.0",
    "description": "It reads the digits of meters.",
    "intended_use": "Meters, not cheques.",
    "limitations": "<b>Not</b> tried on sevens with a bar.",
}


def card_of(text: str) -> Any:
    from huggingface_hub import ModelCard

    return ModelCard(text)


def test_the_hub_reads_its_metrics(digits_run: Run) -> None:
    text = (digits_run.evaluation.folder / MODEL_CARD_FILE).read_text(encoding="utf-8")
    card = card_of(text)
    results = {result.metric_type: result.metric_value for result in card.data.eval_results}
    metrics = digits_run.evaluation.metrics
    assert results["accuracy"] == metrics["accuracy"]
    assert results["roc_auc"] == metrics["auc"]
    assert results["log_loss"] == metrics["log_loss"]
    assert card.data.pipeline_tag == "image-classification"
    assert "Not stated: `evaluate.model_card.intended_use`." in text
    assert "**Not blessed**" in text
    for row in digits_run.results[0]["per_label"]:
        assert f"| {row['label']} | {row['count']} | {row['precision']:.3f} |" in text


def test_what_people_say_is_in_the_card_and_in_the_report(
    digits_examples: Path, digits_model: Path, tmp_path: Path
) -> None:
    settings = {"model_card": STATED}
    _, evaluation, report = run_evaluate(digits_examples, digits_model, settings, tmp_path)
    text = (evaluation / MODEL_CARD_FILE).read_text(encoding="utf-8")
    card = card_of(text)
    assert card.data.license == "apache-2.0"
    assert card.data.model_name == "digit reader"
    page = report.read_text(encoding="utf-8")
    for said in (STATED["description"], STATED["intended_use"]):
        assert said in text
        assert said in page
    assert "&lt;b&gt;Not&lt;/b&gt; tried" in page
