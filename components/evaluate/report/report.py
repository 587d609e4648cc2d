"""The report: one self-contained HTML page."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.evaluate.comparison.decision import if_labels_are_wrong
from components.evaluate.metrics import known_metrics
from components.evaluate.report.charts import confusion_matrix, reliability, training_curve
from components.evaluate.report.comparison import comparison_tables
from components.evaluate.report.mistakes import thumbnails_of, worst_mistakes
from components.evaluate.report.training import History, read_exports, read_history
from components.evaluate.settings import EvaluateSettings
from components.evaluate.suspects import Suspect
from components.evaluate.verdict import Verdict
from darkroom.artifacts.examples import SPLITS, Examples
from darkroom.artifacts.model import Model
from darkroom.artifacts.predictions import prediction_rows

if TYPE_CHECKING:
    import pyarrow as pa

TEMPLATE = "report.html.j2"
MISTAKES = 24
CONFUSED_PAIRS = 10
REASONS = 10
"""Reasons in the banner; the table of checks starts with the failed ones."""
TABLE_ROWS = 100
"""Rows of a table of slices or checks; `metrics.json` and `verdict.json` have them all."""
LONGEST_VALUE = 300
"""Characters of a manifest's value that are shown."""


def render_report(
    predictions: "pa.Table",
    examples: Examples,
    model: Model,
    settings: EvaluateSettings,
    results: Sequence[Mapping[str, Any]],
    verdict: Verdict,
    suspects: Sequence[Suspect],
) -> str:
    """Renders the report.

    Args:
        predictions: As `read_predictions` gives them.
        examples: Examples, for the photographs of the worst mistakes.
        model: The model, for its training history.
        settings: The evaluate step's settings.
        results: The results of all images and then of every slice, as `compute_results` gives them.
        verdict: The verdict on them.
        suspects: The test images whose labels are likely wrong.

    Returns:
        An HTML page that loads nothing.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    overall = results[0]
    history = read_history(model.folder)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["signed"] = _signed
    return environment.get_template(TEMPLATE).render(
        verdict=verdict,
        comparison=comparison_tables(verdict.comparison, settings.minimum_slice_size, TABLE_ROWS),
        checks=sorted(verdict.checks, key=lambda check: check.passed is not False),
        decided=[check for check in verdict.checks if check.passed is not None],
        reason_limit=REASONS,
        table_limit=TABLE_ROWS,
        minimum_slice_size=settings.minimum_slice_size,
        known_metrics=known_metrics(),
        overall=overall,
        labels=model.labels,
        curves=[Markup(curve) for curve in _curves(history)],
        history=history,
        exports=read_exports(model.folder),
        several=model.thresholds is not None,
        confusion=Markup(_confusion(overall, model)),
        confused_pairs=_confused_pairs(overall.get("confusion", [])),
        reliability=Markup(reliability(overall["reliability"])),
        bins=_bins(overall["reliability"]),
        slices=_slice_tables(results[1:]),
        mistakes=worst_mistakes(
            prediction_rows(predictions), examples.shards("test"), model.labels, MISTAKES
        ),
        suspects=suspects,
        suspect_pictures=_pictures(suspects[:MISTAKES], examples),
        suspect_limit=MISTAKES,
        standing=if_labels_are_wrong(verdict.comparison, settings) if verdict.comparison else "",
        facts=_facts(examples, model, settings),
    )


def _pictures(suspects: Sequence[Suspect], examples: Examples) -> dict[str, str | None]:
    return thumbnails_of(examples.shards("test"), {suspect.image_id for suspect in suspects})


def _number(value: float | None) -> str:
    """A metric in three decimals; a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    """A difference in three decimals, with its sign."""
    return "\N{EN DASH}" if value is None else f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def _curves(history: History | None) -> list[str]:
    if history is None:
        return []
    return [
        training_curve(history, "loss", "Loss"),
        training_curve(history, "accuracy", "Accuracy"),
    ]


def _confusion(overall: Mapping[str, Any], model: Model) -> str:
    """The confusion matrix; empty for images of several labels, which have none."""
    entries = overall.get("confusion")
    return "" if entries is None else confusion_matrix(entries, model.labels)


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
    for feature, group in groupby(results, key=lambda result: next(iter(result["slice"]))):
        rows = [
            {
                "value": result["slice"][feature],
                "count": result["count"],
                "interval": result["intervals"]["accuracy"],
                **result["metrics"],
            }
            for result in group
        ]
        rows.sort(key=lambda row: float(row["accuracy"]))
        tables.append({"feature": feature, "rows": rows})
    return tables


def _facts(
    examples: Examples, model: Model, settings: EvaluateSettings
) -> dict[str, list[tuple[str, str]]]:
    """How the examples, model and evaluation were made, by heading: names and values."""
    counts = {split: examples.counts.get(split, 0) for split in SPLITS}
    left_out = ("kind", "labels")
    made = {key: value for key, value in model.manifest.items() if key not in left_out}
    return {
        "Examples": [("labels", ", ".join(examples.labels)[:LONGEST_VALUE]), *_flat(counts)],
        "Model": _flat(made),
        "Evaluation": _flat(settings.model_dump(mode="json", exclude_none=True)),
    }


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested mappings as dotted names, other values as JSON."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            rows += _flat(value, f"{prefix}{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            rows.append((f"{prefix}{name}", text[:LONGEST_VALUE]))
    return rows
