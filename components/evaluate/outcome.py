"""What an evaluation came to: the files that other steps and people read."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.evaluate.settings import EvaluateSettings
from components.evaluate.strangers import StrangerReport
from components.evaluate.verdict import Verdict
from darkroom.artifacts import evaluation as evaluation_format
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.model import Model
from darkroom.storage.atomic import write_json

if TYPE_CHECKING:
    from components.evaluate.slices.fairness import Gap
    from components.evaluate.slices.results import Result
    from components.evaluate.slices.weak import WeakSlice


def write_verdict(
    folder: Path,
    model: Model,
    settings: EvaluateSettings,
    overall: "Result",
    verdict: Verdict,
    suspects: int,
) -> None:
    """Writes the verdict and, last, the manifest."""
    content = {
        "labels": list(model.labels),
        "multi_label": model.thresholds is not None,
        "count": overall["count"],
        "metrics": overall["metrics"],
        "suspects": suspects,
        "blessed": verdict.blessed,
        "reasons": list(verdict.reasons),
        "model_digest": model.manifest.get("digest"),
        "champion": None if verdict.comparison is None else verdict.comparison.champion,
        "settings": settings.model_dump(mode="json"),
    }
    write_json(folder / evaluation_format.VERDICT_FILE, verdict.as_json())
    write_manifest(folder, evaluation_format.KIND, content)


def write_metrics(
    folder: Path,
    model: Model,
    results: Sequence["Result"],
    weak: Sequence["WeakSlice"],
    gaps: Sequence["Gap"],
    strangers: StrangerReport | None,
) -> None:
    """Writes the figures that the verdict and people go by."""
    told = [] if strangers is None else strangers.scores
    document = {
        "labels": list(model.labels),
        "slices": results,
        "weak_slices": [dataclasses.asdict(found) for found in weak],
        "fairness": [dataclasses.asdict(gap) for gap in gaps],
        "strangers": [score.as_json() for score in told],
    }
    write_json(folder / evaluation_format.METRICS_FILE, document)
