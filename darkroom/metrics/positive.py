"""How well the positive label of two is found (`train.decision.positive_label`)."""

from typing import TYPE_CHECKING

from darkroom.metrics.metric import SHARE, Metric

if TYPE_CHECKING:
    from darkroom.answers.answers import Floats, SingleLabelAnswers


def _of(by_label: "Floats", answers: "SingleLabelAnswers", is_positive: bool = True) -> float:
    assert answers.positive is not None
    place = answers.positive[0] if is_positive else 1 - answers.positive[0]
    return float(by_label[place])


def _share(name: str, title: str, meaning: str) -> Metric:
    def computed(answers: "SingleLabelAnswers") -> float | None:
        if answers.positive is None or not answers.support[answers.positive[0]]:
            return None
        return _of(getattr(answers, name), answers)

    return Metric(
        name=f"positive_{name}",
        title=title,
        meaning=meaning,
        range=SHARE,
        single_label=computed,
        needs_positive=True,
    )


def _specificity(answers: "SingleLabelAnswers") -> float | None:
    if answers.positive is None or not answers.support[1 - answers.positive[0]]:
        return None
    return _of(answers.recall, answers, is_positive=False)


POSITIVE_PRECISION = _share(
    "precision",
    "Precision of the positive label",
    "Share of the images given the positive label that have it.",
)
POSITIVE_RECALL = _share(
    "recall",
    "Recall of the positive label",
    "Share of the images with the positive label that are given it (sensitivity).",
)
POSITIVE_F1 = _share(
    "f1", "F1 of the positive label", "The harmonic mean of its precision and recall."
)
SPECIFICITY = Metric(
    name="specificity",
    title="Specificity",
    meaning="Share of the images without the positive label that are not given it.",
    range=SHARE,
    single_label=_specificity,
    needs_positive=True,
)
