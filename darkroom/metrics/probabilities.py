"""How good the probabilities are, not only the labels."""

import math
from typing import TYPE_CHECKING

from darkroom.metrics.metric import SHARE, Metric

if TYPE_CHECKING:
    from darkroom.answers.answers import Answers


def _calibration_error(answers: "Answers") -> float:
    """The mean distance of probability and accuracy, weighted by the number of answers."""
    images, probabilities, right = answers.reliability.T
    return float(abs(right - probabilities).sum() / images.sum())


LOG_LOSS = Metric(
    name="log_loss",
    title="Log loss",
    meaning="Mean cross entropy in nats; for images of several labels, over images and labels.",
    direction="lower",
    range=(0.0, math.inf),
    single_label=lambda answers: answers.log_loss,
    multi_label=lambda answers: answers.log_loss,
)
BRIER = Metric(
    name="brier",
    title="Brier score",
    meaning="Mean squared distance of the probabilities from 0 and 1, summed over the labels; of "
    "two labels, half of it; for images of several labels, averaged over the labels.",
    direction="lower",
    range=(0.0, 2.0),
    single_label=lambda answers: answers.brier,
    multi_label=lambda answers: answers.brier,
)
CALIBRATION_ERROR = Metric(
    name="calibration_error",
    title="Calibration error",
    meaning="Mean distance of the top probability from the accuracy at that probability, in ten "
    "equal bins; for images of several labels, of each label's probability.",
    direction="lower",
    range=SHARE,
    single_label=_calibration_error,
    multi_label=_calibration_error,
)
