"""Images whose labels are likely wrong, by confident learning."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from darkroom.artifacts.predictions import CHAMPION, champion_problem, probability_array
from darkroom.label_errors import find_label_errors

if TYPE_CHECKING:
    import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class Suspect:
    """An image whose label is likely wrong.

    Attributes:
        split: The split that it is in.
        image_id: Its content digest.
        image: The image as the input names it.
        label: Its label, or all its labels in one text.
        likely_label: The label that it likely has, or all of them.
        probability: That its label is right; of several, the one that is likeliest wrong.
        issue: `mislabelled`; of training images `ambiguous` and `outlying` too.
    """

    split: str
    image_id: str
    image: str
    label: str
    likely_label: str
    probability: float
    issue: str = "mislabelled"


def find_suspects(predictions: "pa.Table", labels: Sequence[str]) -> list[Suspect]:
    """Finds the labels that are likely wrong, the likeliest first.

    Confident learning (Northcutt, Jiang and Chuang, Journal of Artificial Intelligence Research
    2021), as cleanlab does it. The probabilities are of images that no model was trained on; with
    a champion they are the mean of both models', so that neither is favoured.

    Args:
        predictions: As `read_predictions` gives them.
        labels: The labels, in the order of the probabilities.
    """
    import numpy as np

    if not len(predictions):
        return []
    probabilities = _probabilities(predictions)
    places = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    several = "label_indices" in predictions.column_names
    column = predictions["label_indices" if several else "label_index"].take(places)
    given = column.to_pylist() if several else column.to_numpy()
    probabilities = probabilities[places]
    found = find_label_errors(given, probabilities)
    rows = (
        predictions.select(["split", "image_id", "image_path", "label"])
        .take(places[found])
        .to_pylist()
    )
    return [
        _suspect(tuple(row.values()), given[place], probabilities[place], labels)
        for row, place in zip(rows, found, strict=True)
    ]


def suspects_csv(suspects: Iterable[Suspect]) -> str:
    """A table to correct: `darkroom labels` takes its `image` and `label` as corrections."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "label", "likely_label", "probability", "split", "issue"))
    for found in suspects:
        row = (
            found.image,
            found.label,
            found.likely_label,
            f"{found.probability:.3f}",
            found.split,
            found.issue,
        )
        writer.writerow(row)
    return text.getvalue()


def _probabilities(predictions: "pa.Table") -> Any:
    """float32 [N, K]."""
    import numpy as np

    ours = probability_array(predictions)
    if CHAMPION not in predictions.column_names:
        return ours
    if champion_problem(predictions):
        return ours
    theirs = probability_array(predictions, champion=True)
    known = np.isfinite(theirs).all(axis=1, keepdims=True)
    return np.where(known, (ours + theirs) / 2, ours)


def _suspect(
    identity: tuple[str, str, str, str], given: Any, probabilities: Any, labels: Sequence[str]
) -> Suspect:
    if isinstance(given, list):
        agreement = [
            float(probability if place in given else 1 - probability)
            for place, probability in enumerate(probabilities)
        ]
        # What is said the other way round of the label that is likeliest wrong.
        place = agreement.index(min(agreement))
        likely = set(given) ^ {place}
        names = " ".join(labels[each] for each in sorted(likely))
        return Suspect(*identity, names, min(agreement))
    return Suspect(*identity, labels[int(probabilities.argmax())], float(probabilities[given]))
