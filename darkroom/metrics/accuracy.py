"""How often answers are right, and what wrong ones cost."""

import math
from typing import TYPE_CHECKING

from darkroom.metrics.metric import SHARE, Metric

if TYPE_CHECKING:
    from darkroom.answers.answers import MultiLabelAnswers, SingleLabelAnswers

TOP_K = 3
"""The top-k accuracy is computed where there are more labels than this."""


def _mean_cost(answers: "SingleLabelAnswers") -> float | None:
    if answers.costs is None:
        return None
    return float((answers.confusion * answers.costs).sum() / answers.count)


def _hamming_score(answers: "MultiLabelAnswers") -> float:
    import numpy as np

    shared = (answers.actual & answers.predicted).sum(axis=1)
    named = (answers.actual | answers.predicted).sum(axis=1)
    shares = np.divide(shared, named, out=np.ones(len(named)), where=named > 0)
    return float(shares.mean())


ACCURACY = Metric(
    name="accuracy",
    title="Accuracy",
    meaning="Share of images whose most probable label is right; for images of several labels, of "
    "those whose labels over the thresholds are exactly the right ones (exact match).",
    range=SHARE,
    single_label=lambda answers: float(answers.is_right.mean()),
    multi_label=lambda answers: float(answers.is_right.mean()),
    is_share=True,
)
BALANCED_ACCURACY = Metric(
    name="balanced_accuracy",
    title="Balanced accuracy",
    meaning="The mean of the labels' recalls, so that rare labels count as much as frequent ones.",
    range=SHARE,
    single_label=lambda answers: float(answers.recall[answers.present].mean()),
)
TOP_K_ACCURACY = Metric(
    name=f"top_{TOP_K}_accuracy",
    title=f"Top-{TOP_K} accuracy",
    meaning=f"Share of images whose label is among the {TOP_K} most probable (of equally "
    f"probable ones, those that come last, as in scikit-learn); where there are more than {TOP_K} "
    "labels.",
    range=SHARE,
    single_label=lambda answers: float(answers.in_top(TOP_K).mean()),
    fewest_labels=TOP_K + 1,
    is_share=True,
)
MEAN_COST = Metric(
    name="mean_cost",
    title="Mean cost",
    meaning="The cost of an answer by `evaluate.costs`, averaged over the images.",
    direction="lower",
    range=(-math.inf, math.inf),
    single_label=_mean_cost,
    needs="costs",
)
HAMMING_SCORE = Metric(
    name="hamming_score",
    title="Hamming score",
    meaning="Labels rightly given to an image, as a share of all that it has or is given; averaged "
    "over the images (1 where it has none and is given none).",
    range=SHARE,
    multi_label=_hamming_score,
)
HAMMING_LOSS = Metric(
    name="hamming_loss",
    title="Hamming loss",
    meaning="Share of all pairs of image and label that are wrong.",
    direction="lower",
    range=SHARE,
    multi_label=lambda answers: float((answers.actual != answers.predicted).mean()),
)
