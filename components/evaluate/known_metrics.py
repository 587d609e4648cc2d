"""The metrics that an evaluation has: their names, and which way is better."""

import dataclasses

TOP_K = 3
"""The top-k accuracy is measured where there are more labels than this."""
TOP_K_ACCURACY = f"top_{TOP_K}_accuracy"


@dataclasses.dataclass(frozen=True)
class KnownMetric:
    """A metric as people see it.

    Attributes:
        title: Its name in the report.
        meaning: What it says, in one line.
        lower_is_better: Whether a smaller value is a better one.
    """

    title: str
    meaning: str
    lower_is_better: bool = False


KNOWN_METRICS = {
    "accuracy": KnownMetric("Accuracy", "Share of images whose most probable label is theirs."),
    "macro_f1": KnownMetric("Macro F1", "F1 by label, averaged over the labels with images."),
    "macro_precision": KnownMetric(
        "Macro precision", "Precision by label, averaged over the labels with images."
    ),
    "macro_recall": KnownMetric(
        "Macro recall", "Recall by label, averaged over the labels with images."
    ),
    "auc": KnownMetric(
        "AUC",
        "Area under the ROC curve, one label against the rest, averaged over the labels with "
        "images; a slice with one single label has none.",
    ),
    TOP_K_ACCURACY: KnownMetric(
        f"Top-{TOP_K} accuracy",
        f"Share of images whose label is among the {TOP_K} most probable; where there are more "
        f"than {TOP_K} labels.",
    ),
    "log_loss": KnownMetric("Log loss", "Mean cross entropy in nats.", lower_is_better=True),
    "calibration_error": KnownMetric(
        "Calibration error",
        "Mean distance of the top probability from the accuracy at that probability, in ten "
        "equal bins.",
        lower_is_better=True,
    ),
}
"""All metrics by the names that thresholds and `metrics.json` use."""
