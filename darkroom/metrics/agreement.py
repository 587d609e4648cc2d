"""Agreement of labels and answers beyond what chance gives."""

import math
from typing import TYPE_CHECKING

from darkroom.metrics.metric import Metric

if TYPE_CHECKING:
    from darkroom.answers.answers import SingleLabelAnswers

_CORRELATION = (-1.0, 1.0)


def _matthews(answers: "SingleLabelAnswers") -> float | None:
    if answers.present.sum() < 2:
        return None
    hits, given, there = answers.counts
    total = float(answers.count)
    spread = (total**2 - given @ given) * (total**2 - there @ there)
    if not spread:
        return 0.0  # one label is given to all images
    return float((hits.sum() * total - given @ there) / math.sqrt(spread))


def _kappa(answers: "SingleLabelAnswers") -> float | None:
    hits, given, there = answers.counts
    by_chance = float(given @ there) / answers.count**2
    if answers.present.sum() < 2 or by_chance == 1:
        return None
    return (float(hits.sum()) / answers.count - by_chance) / (1 - by_chance)


MATTHEWS = Metric(
    name="matthews",
    title="Matthews correlation",
    meaning="Correlation of labels and predicted labels: 1 where all are right, 0 by chance "
    "(Gorodkin, Computational Biology and Chemistry 2004).",
    range=_CORRELATION,
    single_label=_matthews,
)
KAPPA = Metric(
    name="kappa",
    title="Cohen's kappa",
    meaning="How much of the accuracy that chance leaves open is reached (Cohen, Educational and "
    "Psychological Measurement 1960).",
    range=_CORRELATION,
    single_label=_kappa,
)
