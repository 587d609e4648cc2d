"""The evaluation of a pushed model, as Model Registry shows it beside the version."""

from typing import Any

from google.cloud.aiplatform_v1.types import ModelEvaluation

from components.push.targets.target import PUSHED, PushedVersion

SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/classification_metrics_1.0.0.yaml"


def imported_evaluation(version: PushedVersion) -> Any | None:
    """A version's evaluation as a ModelEvaluation; None where its record has none.

    The schema's averages of areas are over all answers and ours over labels, so that these, and
    what the schema has no name for, are in the metadata, under our names.

    Args:
        version: A version with its manifest.
    """
    record = version.manifest.get(PUSHED, {}).get("evaluation", {})
    metrics = {
        name: value for name, value in record.get("metrics", {}).items() if _is_number(value)
    }
    if not metrics:
        return None
    given: dict[str, Any] = {}
    if "log_loss" in metrics:
        given["logLoss"] = metrics["log_loss"]
    if "accuracy" in metrics and _gives_the_most_probable(version):
        accuracy = metrics["accuracy"]
        names = ("precision", "recall", "f1Score", "precisionAt1", "recallAt1", "f1ScoreAt1")
        given["confidenceMetrics"] = [
            {"confidenceThreshold": 0.0, "maxPredictions": 1} | dict.fromkeys(names, accuracy)
        ]
    digest = record.get("digest") or version.digest
    return ModelEvaluation(
        display_name=f"darkroom {str(digest)[:12]}",
        metrics_schema_uri=SCHEMA,
        metrics=given,
        metadata={"metrics": metrics, "count": record.get("count"), "digest": digest},
    )


def _gives_the_most_probable(version: PushedVersion) -> bool:
    """Whether an answer is one label, the most probable: then all averages are its accuracy."""
    return version.manifest.get("thresholds") is None and version.manifest.get("decision") is None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
