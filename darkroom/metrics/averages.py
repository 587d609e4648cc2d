"""Precision, recall and F1, averaged over labels in the three usual ways."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from darkroom.metrics.metric import SHARE, Metric

if TYPE_CHECKING:
    from darkroom.answers.answers import (
        Answers,
        Floats,
        MultiLabelAnswers,
        SingleLabelAnswers,
    )

ByLabel = Callable[["Answers"], "Floats"]


def _mean(by_label: ByLabel, answers: "Answers") -> float | None:
    import numpy as np

    values = by_label(answers)[answers.present]
    return float(np.mean(values)) if len(values) else None


def _macro(part: str, title: str, by_label: ByLabel) -> Metric:
    return Metric(
        name=f"macro_{part}",
        title=f"Macro {title}",
        meaning=f"{title[0].upper()}{title[1:]} by label, averaged over the labels with images.",
        range=SHARE,
        single_label=lambda answers: _mean(by_label, answers),
        multi_label=lambda answers: _mean(by_label, answers),
    )


def _weighted(part: str, title: str, by_label: ByLabel) -> Metric:
    def weighted(answers: "Answers") -> float | None:
        total = float(answers.support.sum())
        return float(by_label(answers) @ answers.support) / total if total else None

    return Metric(
        name=f"weighted_{part}",
        title=f"Weighted {title}",
        meaning=f"{title[0].upper()}{title[1:]} by label, averaged with each label's number of "
        "images as its weight.",
        range=SHARE,
        single_label=weighted,
        multi_label=weighted,
    )


def _micro(part: str, title: str, meaning: str, of_given: float, of_there: float) -> Metric:
    """Over all pairs of image and label; for images of one label each it is the accuracy."""

    def micro(answers: "MultiLabelAnswers") -> float:
        hits, given, there = (float(each.sum()) for each in answers.counts)
        whole = of_given * given + of_there * there
        return hits / whole if whole else 0.0

    return Metric(
        name=f"micro_{part}",
        title=f"Micro {title}",
        meaning=meaning,
        range=SHARE,
        multi_label=micro,
    )


def _f_beta(answers: "SingleLabelAnswers | MultiLabelAnswers") -> float | None:
    beta = answers.beta
    return None if beta is None else _mean(lambda of: of.f_beta(beta), answers)


MACRO_F1 = _macro("f1", "F1", lambda answers: answers.f1)
MACRO_PRECISION = _macro("precision", "precision", lambda answers: answers.precision)
MACRO_RECALL = _macro("recall", "recall", lambda answers: answers.recall)
MACRO_F_BETA = Metric(
    name="macro_f_beta",
    title="Macro F-beta",
    meaning="F-beta by label, where recall counts `evaluate.beta` times as much as precision, "
    "averaged over the labels with images.",
    range=SHARE,
    single_label=_f_beta,
    multi_label=_f_beta,
    needs="beta",
)
WEIGHTED_F1 = _weighted("f1", "F1", lambda answers: answers.f1)
WEIGHTED_PRECISION = _weighted("precision", "precision", lambda answers: answers.precision)
WEIGHTED_RECALL = _weighted("recall", "recall", lambda answers: answers.recall)
MICRO_F1 = _micro("f1", "F1", "F1 over all labels of all images together.", 0.5, 0.5)
MICRO_PRECISION = _micro(
    "precision", "precision", "Share of the predicted labels of all images that are right.", 1, 0
)
MICRO_RECALL = _micro(
    "recall", "recall", "Share of the labels of all images that are predicted.", 0, 1
)
