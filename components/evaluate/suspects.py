"""Test images whose labels are likely wrong, by confident learning."""

import csv
import dataclasses
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple


@dataclasses.dataclass(frozen=True)
class Suspect:
    """An image whose label is likely wrong.

    Attributes:
        image_id: Its content digest.
        image: The image as the input names it.
        label: Its label, or all its labels in one text.
        likely_label: The label that it likely has, or all of them.
        probability: That its label is right; of several, the one that is likeliest wrong.
    """

    image_id: str
    image: str
    label: str
    likely_label: str
    probability: float


class _Known(NamedTuple):
    """What is kept of a row: of many images and labels, the row itself would be too much."""

    identity: tuple[str, str, str]
    given: Any
    probabilities: Any


def find_suspects(rows: Iterable[Mapping[str, Any]], labels: Sequence[str]) -> list[Suspect]:
    """Finds the labels that are likely wrong, the likeliest first.

    Confident learning (Northcutt, Jiang and Chuang, Journal of Artificial Intelligence Research
    2021), as cleanlab does it. The probabilities are of images that no model was trained on; with
    a champion they are the mean of both models', so that neither is favoured.

    Args:
        rows: The predictions, as `read_predictions` gives them.
        labels: The labels, in the order of the probabilities.
    """
    import numpy as np

    known: list[_Known] = []
    several = False
    for row in rows:
        if None not in row["probabilities"]:
            several = "label_indices" in row
            known.append(
                _Known(
                    (row["image_id"], row["image_path"], row["label"]),
                    row["label_indices"] if several else row["label_index"],
                    np.array(_probabilities(row), np.float32),
                )
            )
    if not known:
        return []
    places = _found(
        [one.given for one in known], np.stack([k.probabilities for k in known]), several
    )
    return [_suspect(known[place], labels) for place in places]


def suspects_csv(suspects: Iterable[Suspect]) -> str:
    """A table to correct: `darkroom labels` takes its `image` and `label` as corrections."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "label", "likely_label", "probability"))
    for found in suspects:
        row = (found.image, found.label, found.likely_label, f"{found.probability:.3f}")
        writer.writerow(row)
    return text.getvalue()


def _probabilities(row: Mapping[str, Any]) -> list[float]:
    ours, theirs = row["probabilities"], row.get("champion", {}).get("probabilities")
    if theirs is None or None in theirs:
        return list(ours)
    return [(our + their) / 2 for our, their in zip(ours, theirs, strict=True)]


def _found(given: Sequence[Any], probabilities: Any, several: bool) -> list[int]:
    from cleanlab.filter import find_label_issues

    labels_there = {each for one in given for each in (one if several else [one])}
    if len(labels_there) < 2:
        return []  # nothing to take one label for
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few images of a label are judged less well
        found = find_label_issues(
            given if several else _indices(given),
            probabilities,
            return_indices_ranked_by="self_confidence",
            multi_label=several,
            n_jobs=1,
        )
    return [int(place) for place in found]


def _indices(given: Sequence[int]) -> Any:
    import numpy as np

    return np.array(given, np.int64)


def _suspect(known: _Known, labels: Sequence[str]) -> Suspect:
    given, probabilities = known.given, known.probabilities
    if isinstance(given, list):
        agreement = [
            float(probability if place in given else 1 - probability)
            for place, probability in enumerate(probabilities)
        ]
        # What is said the other way round of the label that is likeliest wrong.
        place = agreement.index(min(agreement))
        likely = set(given) ^ {place}
        return Suspect(
            *known.identity, " ".join(labels[each] for each in sorted(likely)), min(agreement)
        )
    return Suspect(
        *known.identity, labels[int(probabilities.argmax())], float(probabilities[given])
    )
