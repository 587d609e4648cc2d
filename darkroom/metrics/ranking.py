"""How well probabilities order images, at no threshold."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from darkroom.metrics.metric import SHARE, Metric

if TYPE_CHECKING:
    from darkroom.answers.answers import Answers, Floats


def _over_labels(
    area: Callable[["Answers"], "Floats"], over: Callable[["Floats"], float]
) -> Callable[["Answers"], float | None]:
    """Of the labels that have the area; None where none has."""

    def value(answers: "Answers") -> float | None:
        import numpy as np

        if not answers.finite:
            return math.nan
        areas = area(answers)
        known = areas[np.isfinite(areas)]
        return float(over(known)) if len(known) else None

    return value


_MEAN_AUC = _over_labels(lambda answers: answers.auc, lambda areas: areas.mean())
_LOWEST_AUC = _over_labels(lambda answers: answers.auc, lambda areas: areas.min())
_MEAN_PRECISION = _over_labels(
    lambda answers: answers.average_precision, lambda areas: areas.mean()
)

AUC = Metric(
    name="auc",
    title="AUC",
    meaning="Area under the ROC curve, one label against the rest, averaged over the labels with "
    "images; a slice with one single label has none.",
    range=SHARE,
    single_label=_MEAN_AUC,
    multi_label=_MEAN_AUC,
    fewest_labels=2,
)
LOWEST_AUC = Metric(
    name="lowest_auc",
    title="Lowest AUC",
    meaning="The lowest area under the ROC curve of any label with images; a slice with one single "
    "label has none.",
    range=SHARE,
    single_label=_LOWEST_AUC,
    multi_label=_LOWEST_AUC,
    fewest_labels=2,
)
AVERAGE_PRECISION = Metric(
    name="average_precision",
    title="Average precision",
    meaning="Area under the precision-recall curve of each label, at no threshold; averaged over "
    "the labels with images.",
    range=SHARE,
    single_label=_MEAN_PRECISION,
    multi_label=_MEAN_PRECISION,
)
