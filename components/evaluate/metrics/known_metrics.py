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
    "accuracy": KnownMetric(
        "Accuracy",
        "Share of images whose most probable label is theirs; where images have several, of those "
        "with exactly their labels over the thresholds (subset accuracy).",
    ),
    "macro_f1": KnownMetric("Macro F1", "F1 by label, averaged over the labels with images."),
    "micro_f1": KnownMetric("Micro F1", "F1 over all labels of all images together."),
    "lowest_f1": KnownMetric("Lowest F1", "F1 of the label, of those with images, that is worst."),
    "macro_precision": KnownMetric(
        "Macro precision", "Precision by label, averaged over the labels with images."
    ),
    "macro_recall": KnownMetric(
        "Macro recall", "Recall by label, averaged over the labels with images."
    ),
    "micro_precision": KnownMetric(
        "Micro precision", "Share of the labels given to images that are theirs."
    ),
    "micro_recall": KnownMetric(
        "Micro recall", "Share of the labels of all images that are given to them."
    ),
    "average_precision": KnownMetric(
        "Average precision",
        "Precision averaged over a label's images as its probability falls, at no threshold; "
        "averaged over the labels with images.",
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
    "log_loss": KnownMetric(
        "Log loss",
        "Mean cross entropy in nats; where images have several labels, over images and labels.",
        lower_is_better=True,
    ),
    "calibration_error": KnownMetric(
        "Calibration error",
        "Mean distance of the top probability from the accuracy at that probability, in ten "
        "equal bins; where images have several labels, of each label's probability.",
        lower_is_better=True,
    ),
}
"""All metrics by the names that thresholds and `metrics.json` use."""

OF_SEVERAL_LABELS = frozenset(
    {"micro_f1", "micro_precision", "micro_recall", "lowest_f1", "average_precision"}
)
"""Those that are measured only where images have several labels."""
