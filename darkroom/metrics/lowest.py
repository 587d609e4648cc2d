"""The metrics of the worst label."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from darkroom.metrics.metric import SHARE, Metric

if TYPE_CHECKING:
    from darkroom.answers.answers import Answers, Floats


def _lowest(part: str, title: str, by_label: Callable[["Answers"], "Floats"]) -> Metric:
    def lowest(answers: "Answers") -> float | None:
        values = by_label(answers)[answers.present]
        return float(values.min()) if len(values) else None

    return Metric(
        name=f"lowest_{part}",
        title=f"Lowest {title}",
        meaning=f"The lowest {title} of any label with images.",
        range=SHARE,
        single_label=lowest,
        multi_label=lowest,
    )


LOWEST_F1 = _lowest("f1", "F1", lambda answers: answers.f1)
LOWEST_PRECISION = _lowest("precision", "precision", lambda answers: answers.precision)
LOWEST_RECALL = _lowest("recall", "recall", lambda answers: answers.recall)
