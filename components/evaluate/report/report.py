"""The report: one self-contained HTML page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.evaluate.comparison.decision import if_labels_are_wrong
from components.evaluate.labels.suspects import Suspect
from components.evaluate.report import charts
from components.evaluate.report.comparison import comparison_tables
from components.evaluate.report.facts import facts_of
from components.evaluate.report.matrix import cell_key, matrix_of
from components.evaluate.report.mistakes import confused, least_sure, worst_mistakes
from components.evaluate.report.model_card import model_card
from components.evaluate.report.templates import templates
from components.evaluate.report.thumbnails import SIDE, thumbnails_of
from components.evaluate.report.training import History, read_exports, read_history
from components.evaluate.settings import EvaluateSettings
from components.evaluate.slices.fairness import Gap
from components.evaluate.slices.weak import WeakSlice
from components.evaluate.strangers import StrangerReport
from components.evaluate.verdict import Verdict, slice_name
from darkroom.answers.answers import Answers, MultiLabelAnswers, SingleLabelAnswers
from darkroom.answers.curves import Curve, curve
from darkroom.artifacts.evaluation import EXPLANATION_LEGEND, explanation_mark
from darkroom.artifacts.examples import Examples
from darkroom.artifacts.model import Model
from darkroom.metrics import known_metrics
from darkroom.thumbnails import thumbnail

if TYPE_CHECKING:
    import pyarrow as pa

TEMPLATE = "report.html.j2"
SCRIPT = "report.js"
HEADLINES = (
    "accuracy",
    "balanced_accuracy",
    "hamming_score",
    "macro_f1",
    "mean_cost",
    "auc",
    "average_precision",
    "log_loss",
    "calibration_error",
)
"""Metrics that are shown large; a table has them all."""
MISTAKES = 24
LEAST_SURE = 12
MATRIX_PICTURES = 60
CONFUSED_PAIRS = 10
CURVES = 8
"""Labels whose ROC and precision-recall curves are drawn: those of the lowest AUC."""
SLIDERS = 50
"""Labels whose thresholds can be tried out."""
REASONS = 10
"""Reasons in the banner; the table of checks starts with the failed ones."""
TABLE_ROWS = 100
"""Rows of a table of slices or checks; `metrics.json` and `verdict.json` have them all."""


def render_report(
    predictions: "pa.Table",
    answers: Answers,
    examples: Examples,
    model: Model,
    settings: EvaluateSettings,
    results: Sequence[Mapping[str, Any]],
    verdict: Verdict,
    suspects: Sequence[Suspect],
    weak: Sequence[WeakSlice],
    gaps: Sequence[Gap],
    strangers: StrangerReport | None = None,
    train_suspects: Sequence[Suspect] = (),
) -> tuple[str, str]:
    """Renders the report and the model card.

    Args:
        predictions: As `read_predictions` gives them.
        answers: The model's answers to them.
        examples: Examples, for the photographs.
        model: The model, for its training history.
        settings: The evaluate step's settings.
        results: The results of all images and then of every slice, as `compute_results` gives them.
        verdict: The verdict on them.
        suspects: The test images whose labels are likely wrong.
        weak: The slices with a lower accuracy than the rest.
        gaps: How differently groups are treated.
        strangers: How photographs that show none of the labels fall.
        train_suspects: Training photographs to look at.

    Returns:
        An HTML page that loads nothing, and the model card, in Markdown.
    """
    from markupsafe import Markup

    overall = results[0]
    history = read_history(model.folder)
    shown = dict(
        verdict=verdict,
        comparison=comparison_tables(verdict.comparison, settings.minimum_slice_size, TABLE_ROWS),
        checks=sorted(verdict.checks, key=lambda check: check.passed is not False),
        decided=[check for check in verdict.checks if check.passed is not None],
        reason_limit=REASONS,
        table_limit=TABLE_ROWS,
        minimum_slice_size=settings.minimum_slice_size,
        known_metrics=known_metrics(),
        headlines=[name for name in HEADLINES if name in overall["metrics"]],
        overall=overall,
        labels=model.labels,
        training=_training_curves(history),
        history=history,
        exports=read_exports(model.folder),
        several=model.thresholds is not None,
        confused_pairs=_confused_pairs(overall.get("confusion", [])),
        bins=_bins(overall["reliability"]),
        reliability=charts.reliability(overall["reliability"]),
        curves=_ranking_curves(answers),
        thresholds=_thresholds(answers),
        slices=_slice_tables(results[1:]),
        gaps=gaps,
        weak=[(slice_name(found.slice), found) for found in weak],
        standing=if_labels_are_wrong(verdict.comparison, settings) if verdict.comparison else "",
        strangers=strangers,
        stranger_charts=[charts.strangers(one) for one in strangers.scores] if strangers else [],
        stranger_pictures=_pictures_of(strangers),
        train_issues=_counted(train_suspects),
        facts=facts_of(examples, model, settings, history),
        script=Markup(charts.script((Path(__file__).parent / SCRIPT).read_text("utf-8"))),
        stated=settings.model_card,
        explanation_mark=explanation_mark,
        explanation_legend=EXPLANATION_LEGEND,
        **_photographs(predictions, answers, examples, suspects),
    )
    page = templates(is_html=True).get_template(TEMPLATE).render(shown)
    name = settings.model_card.name or "image classifier"
    return page, model_card(name, settings.model_card, shown)


def _pictures_of(strangers: StrangerReport | None) -> dict[Path, str | None]:
    if strangers is None:
        return {}
    return {one.image: thumbnail(one.image.read_bytes(), SIDE) for one in strangers.mistaken}


def _counted(suspects: Sequence[Suspect]) -> dict[str, int]:
    """How many training photographs have which issue."""
    return dict(Counter(suspect.issue for suspect in suspects))


def _photographs(
    predictions: "pa.Table", answers: Answers, examples: Examples, suspects: Sequence[Suspect]
) -> dict[str, Any]:
    """The answers to look at, and the pictures of all of them."""
    mistakes = worst_mistakes(predictions, answers, MISTAKES)
    unsure = least_sure(predictions, answers, LEAST_SURE)
    cells, matrix = {}, None
    if isinstance(answers, SingleLabelAnswers):
        cells = confused(predictions, answers, MATRIX_PICTURES)
        matrix = matrix_of(answers, cells)
    shown = [*mistakes, *unsure, *(one for inside in cells.values() for one in inside)]
    identities = {one.image_id for one in shown}
    identities |= {suspect.image_id for suspect in suspects[:MISTAKES]}
    return {
        "mistakes": mistakes,
        "unsure": unsure,
        "suspects": suspects,
        "suspect_limit": MISTAKES,
        "matrix": matrix,
        "cells": {cell_key(cell): inside for cell, inside in cells.items()},
        "pictures": thumbnails_of(examples.shards("test"), identities),
    }


def _ranking_curves(answers: Answers) -> list[charts.Chart]:
    """ROC and precision-recall curves of the labels of the lowest AUC; none of one single label."""
    import numpy as np

    known = np.flatnonzero(np.isfinite(answers.auc))
    if not (answers.finite and len(known)):
        return []
    lowest = np.sort(known[np.argsort(answers.auc[known], kind="stable")[:CURVES]])
    by_label = {answers.labels[label]: _curve(answers, int(label)) for label in lowest}
    return [charts.roc(by_label), charts.precision_recall(by_label)]


def _curve(answers: Answers, label: int) -> Curve:
    return curve(answers.has(label), answers.probabilities[:, label])


def _thresholds(answers: Answers) -> dict[str, dict[str, Any]]:
    """What each threshold would give, by label, where labels are decided by thresholds."""
    if not answers.finite:
        return {}
    if isinstance(answers, MultiLabelAnswers):
        decided = answers.thresholds.tolist()
    elif isinstance(answers, SingleLabelAnswers) and len(answers.labels) == 2:
        decided = [0.5, 0.5]
        if answers.positive is not None:
            place, threshold = answers.positive
            decided[place], decided[1 - place] = threshold, 1 - threshold
    else:
        return {}
    tried = {}
    for place, label in enumerate(answers.labels[:SLIDERS]):
        of = _curve(answers, place)
        tried[label] = {
            "positives": of.positives,
            "negatives": of.negatives,
            "threshold": decided[place],
            "thresholds": of.thresholds.round(5).tolist(),
            "hits": of.hits.tolist(),
            "alarms": of.false_alarms.tolist(),
        }
    return tried


def _training_curves(history: History | None) -> list[charts.Chart]:
    if history is None:
        return []
    titles = {"loss": "Loss", "accuracy": "Accuracy"}
    return [charts.training_curve(history, name, title) for name, title in titles.items()]


def _confused_pairs(entries: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """The pairs of labels that are most often confused, the most frequent first."""
    wrong = [entry for entry in entries if entry[0] != entry[1]]
    return sorted(wrong, key=lambda entry: -entry[2])[:CONFUSED_PAIRS]


def _bins(reliability_bins: Sequence[Sequence[float | None]]) -> list[dict[str, Any]]:
    """The reliability bins that have images, as rows of a table."""
    share = 1 / len(reliability_bins)
    return [
        {
            "range": f"{place * share:.1f} to {(place + 1) * share:.1f}",
            "count": round(images),
            "probability": None if probability is None else probability / images,
            "accuracy": None if right is None else right / images,
        }
        for place, (images, probability, right) in enumerate(reliability_bins)
        if images
    ]


def _slice_tables(results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A table a feature, the slices of the lowest accuracy first."""
    tables = []
    for features, group in groupby(results, key=lambda result: tuple(result["slice"])):
        rows = [
            {
                "value": ", ".join(str(value) for value in result["slice"].values()),
                "count": result["count"],
                "intervals": result["intervals"],
                **result["metrics"],
            }
            for result in group
        ]
        rows.sort(key=lambda row: float(row["accuracy"]))
        tables.append({"feature": " and ".join(features), "rows": rows})
    return tables
