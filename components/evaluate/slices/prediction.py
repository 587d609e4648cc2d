"""Predictions of the test records by the model's `from_examples` signature, batch by batch.

Beam's workers import this module; the step imports it only when it works.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.utils.shared import Shared

from darkroom.artifacts.examples import IMAGE_ID, IMAGE_PATH, LABEL
from darkroom.artifacts.examples import LABELS as ALL_LABELS
from darkroom.artifacts.model import FROM_EXAMPLES, LABELS, split_labels
from darkroom.artifacts.saved_model import load_saved_model
from darkroom.errors import StepError
from darkroom.records.example_proto import parsed_example
from darkroom.runtime.pace import Pace

_log = logging.getLogger("darkroom.evaluate")

BATCH_SIZE = 64
"""Records a call: bounds the decoded images that are in memory at once."""

Row = dict[str, Any]


class ChampionModel(NamedTuple):
    """The model that a new one is compared with.

    Attributes:
        folder: Its SavedModel directory.
        labels: Its labels, in the order of its probabilities: all that images have, and others.
    """

    folder: str
    labels: tuple[str, ...]


class Predict(beam.DoFn):  # type: ignore[misc]
    """Turns a batch of serialized examples into rows, as `Evaluation.predictions` describes them.

    Rows keep not-a-number. Raises StepError for a model without the signature, one that
    gives another number of probabilities than there are labels, and a record it cannot read.
    """

    def __init__(
        self,
        model_folder: str,
        labels: Sequence[str],
        slices: Sequence[str],
        multi_label: bool,
        total: int = 0,
        champion: ChampionModel | None = None,
    ) -> None:
        self._total = total
        self._champion = champion
        self._champion_problem = ""
        self._shared_champion = Shared()
        self._pace: Pace | None = None
        self._model_folder = model_folder
        self._label_indices = {label: index for index, label in enumerate(labels)}
        self._slices = tuple(slices)
        self._multi_label = multi_label
        self._shared = Shared()

    def process(self, records: Sequence[bytes]) -> Iterator[Row]:
        """Yields a row a record, in order."""
        # Loaded here and not in `setup`, because Beam's local multi-processing hangs on an
        # error there; `Shared` gives all threads of a process the same model.
        model = self._shared.acquire(lambda: _load(self._model_folder))
        if self._pace is None:
            self._pace = Pace(_log, "test photographs", self._total)
        outputs = _answers(model.signatures[FROM_EXAMPLES], records)
        width = outputs["probabilities"].shape[1]
        if width != len(self._label_indices):
            raise StepError(
                f"the model gives {width} probabilities for {len(self._label_indices)} labels; "
                "train it again"
            )
        answers = outputs[LABELS if self._multi_label else "label"]
        champions = self._champion_answers(records)
        rows = zip(records, answers, outputs["probabilities"], champions, strict=True)
        for record, answer, probabilities, champion in rows:
            yield self._row(record, answer.decode(), probabilities.tolist()) | champion
        self._pace.add(len(records))

    def _champion_answers(self, records: Sequence[bytes]) -> list[Row]:
        """The champion's entry of each row, or the problem that it has: it ends no evaluation."""
        champion = self._champion
        if champion is None:
            return [{} for _ in records]
        try:
            model = self._shared_champion.acquire(lambda: _load(champion.folder))
            outputs = _answers(model.signatures[FROM_EXAMPLES], records)
            answers = outputs[LABELS if self._multi_label else "label"]
            probabilities = self._in_our_order(outputs["probabilities"], champion.labels)
        except Exception as error:  # whatever is wrong with a model of before
            problem = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            if problem != self._champion_problem:
                _log.warning("the champion cannot be scored: %s", problem)
            self._champion_problem = problem
            return [{"champion": {"problem": problem}} for _ in records]
        return [
            {
                "champion": {
                    "probabilities": row.tolist(),
                    **(
                        {"predicted_labels": split_labels(answer.decode(), champion.labels)}
                        if self._multi_label
                        else {"predicted_label": answer.decode()}
                    ),
                }
            }
            for answer, row in zip(answers, probabilities, strict=True)
        ]

    def _in_our_order(self, probabilities: Any, labels: Sequence[str]) -> Any:
        """The champion's probabilities of the new model's labels, float32 [N, K]; others are 0."""
        import numpy as np

        if probabilities.shape[1] != len(labels):
            raise StepError(f"it gives {probabilities.shape[1]} probabilities, not {len(labels)}")
        columns = {label: place for place, label in enumerate(labels)}
        ordered = np.zeros((len(probabilities), len(self._label_indices)), np.float32)
        for place, label in enumerate(self._label_indices):
            if label in columns:
                ordered[:, place] = probabilities[:, columns[label]]
        return ordered

    def _row(self, record: bytes, answer: str, probabilities: list[float]) -> Row:
        example = parsed_example(record)
        values = {name: _slice_value(example, name) for name in self._slices}
        label = _text(example[LABEL][0])
        row = {
            "image_id": _text(example[IMAGE_ID][0]),
            "image_path": _text(example[IMAGE_PATH][0]),
            "label": label,
            "probabilities": probabilities,
            "slices": values,
        }
        if not self._multi_label:
            return row | {
                "label_index": self._label_indices[label],
                "predicted_label": answer,
            }
        labels = [_text(label) for label in example[ALL_LABELS]]
        if LABEL in values:
            # An image is in the slice of each of its labels.
            values[LABEL] = labels
        return row | {
            "labels": labels,
            "label_indices": [self._label_indices[label] for label in labels],
            "predicted_labels": split_labels(answer, tuple(self._label_indices)),
        }


def _load(folder: str) -> Any:
    model = load_saved_model(folder)
    if FROM_EXAMPLES not in model.signatures:
        raise StepError(f"the model {folder} has no signature '{FROM_EXAMPLES}'; train it again")
    return model


def _answers(signature: Any, records: Sequence[bytes]) -> dict[str, Any]:
    """The signature's outputs as arrays; names the photograph that it cannot read."""
    import tensorflow as tf

    try:
        outputs = signature(examples=tf.constant(records))
    except tf.errors.InvalidArgumentError as error:
        if len(records) > 1:
            for record in records:
                _answers(signature, [record])
            raise
        path = _text(parsed_example(records[0])[IMAGE_PATH][0])
        reason = str(error.message).splitlines()[0]
        raise StepError(f"the model cannot read {path}; ingest again ({reason})") from error
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def _slice_value(example: Mapping[str, list[Any]], name: str) -> Any:
    """The value of a feature; None where the example has none."""
    values = example.get(name, [])
    if not values:
        return None
    value: int | float | bytes = values[0]
    return _text(value) if isinstance(value, bytes) else value


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")
