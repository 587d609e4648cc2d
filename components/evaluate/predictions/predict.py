"""Predictions of records by the model's `from_examples` signature, batch by batch.

Beam's workers import this module; the step imports it only when it works.
"""

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from components.evaluate.predictions.features import feature_text, feature_value
from darkroom.artifacts.examples import IMAGE_ID, IMAGE_PATH, LABEL
from darkroom.artifacts.examples import LABELS as ALL_LABELS
from darkroom.artifacts.model import FROM_EXAMPLES, LABELS, split_labels
from darkroom.artifacts.predictions import CHAMPION, PROBABILITIES, PROBLEM, SLICES
from darkroom.artifacts.saved_model import load_saved_model
from darkroom.errors import StepError
from darkroom.records.example_proto import parsed_example
from darkroom.runtime.pace import Pace
from darkroom.storage.folders import read_folder

_log = logging.getLogger("darkroom.evaluate")

BATCH_SIZE = 64
"""Records a call: bounds the decoded images that are in memory at once."""


class ScoredModel(NamedTuple):
    """A model whose answers are asked for.

    Attributes:
        folder: Path or URI of its SavedModel directory.
        labels: Its labels, in the order of its probabilities.
        run: What tells this evaluation from others of the process.
    """

    folder: str
    labels: tuple[str, ...]
    run: str = ""


class Predict:
    """Turns batches of serialized examples into tables, as `prediction_schema` describes them.

    Raises StepError for a model without the signature, one that gives another number of
    probabilities than there are labels, and a record it cannot read.

    Args:
        model: The model.
        schema: The columns of the predictions.
        slices: The features that images are sliced by.
        multi_label: Whether images have several labels.
        split: The split that the records are of.
        total: How many there are.
        champion: The model to compare with; its labels are all that images have, and others.
    """

    def __init__(
        self,
        model: ScoredModel,
        schema: pa.Schema,
        slices: Sequence[str],
        multi_label: bool,
        split: str,
        total: int = 0,
        champion: ScoredModel | None = None,
    ) -> None:
        self._model, self._champion = model, champion
        self._schema, self._slices, self._split = schema, tuple(slices), split
        self._answer = LABELS if multi_label else "label"
        self._multi_label = multi_label
        self._indices = {label: index for index, label in enumerate(model.labels)}
        self._total = total
        self._champion_problem = ""
        self._pace: Pace | None = None

    def tables(self, batches: Iterable[Sequence[bytes]]) -> Iterator[pa.Table]:
        """Yields a table a batch."""
        # Loaded here and not in a `setup`, because Beam's local multi-processing hangs on an
        # error there.
        model = _loaded(self._model)
        if self._pace is None:
            self._pace = Pace(_log, f"{self._split} photographs", self._total)
        for records in batches:
            yield self._table(model, records)
            self._pace.add(len(records))

    def _table(self, model: Any, records: Sequence[bytes]) -> pa.Table:
        outputs = _answers(model.signatures[FROM_EXAMPLES], records)
        width = outputs[PROBABILITIES].shape[1]
        if width != len(self._indices):
            raise StepError(
                f"the model gives {width} probabilities for {len(self._indices)} labels; "
                "train it again"
            )
        columns = self._facts([parsed_example(record) for record in records])
        columns |= self._answer_columns(outputs, self._model.labels, outputs[PROBABILITIES])
        if CHAMPION in self._schema.names:
            columns[CHAMPION] = self._champion_column(records)
        return pa.table([columns[field.name] for field in self._schema], schema=self._schema)

    def _facts(self, examples: Sequence[Mapping[str, list[Any]]]) -> dict[str, Any]:
        """What the examples say of themselves, by column."""
        columns: dict[str, Any] = {
            "split": [self._split] * len(examples),
            "image_id": [feature_text(example[IMAGE_ID][0]) for example in examples],
            "image_path": [feature_text(example[IMAGE_PATH][0]) for example in examples],
            "label": [feature_text(example[LABEL][0]) for example in examples],
        }
        values = {name: [feature_value(one, name) for one in examples] for name in self._slices}
        if self._multi_label:
            labels = [
                [feature_text(label) for label in example[ALL_LABELS]] for example in examples
            ]
            columns["labels"] = labels
            columns["label_indices"] = [[self._indices[one] for one in each] for each in labels]
            if LABEL in values:
                values[LABEL] = labels  # an image is in the slice of each of its labels
        else:
            columns["label_index"] = [self._indices[label] for label in columns["label"]]
        if values:
            type_ = self._schema.field(SLICES).type
            arrays = [pa.array(values[field.name], field.type) for field in type_]
            columns[SLICES] = pa.StructArray.from_arrays(arrays, fields=list(type_))
        return columns

    def _answer_columns(
        self, outputs: Mapping[str, Any], labels: tuple[str, ...], probabilities: Any
    ) -> dict[str, Any]:
        """What a model says, by column; `labels` are its own."""
        answers = [answer.decode() for answer in outputs[self._answer]]
        flat = pa.array(np.ascontiguousarray(probabilities, np.float32).ravel())
        columns: dict[str, Any] = {
            PROBABILITIES: pa.FixedSizeListArray.from_arrays(flat, len(self._indices))
        }
        if self._multi_label:
            columns["predicted_labels"] = [split_labels(answer, labels) for answer in answers]
        else:
            columns["predicted_label"] = answers
        return columns

    def _champion_column(self, records: Sequence[bytes]) -> Any:
        """The champion's answers, or the problem that it has: it ends no evaluation."""
        type_, champion = self._schema.field(CHAMPION).type, self._champion
        try:
            if champion is None:
                raise StepError(f"it is not asked of the {self._split} split")
            model = _loaded(champion)
            outputs = _answers(model.signatures[FROM_EXAMPLES], records)
            ordered = self._in_our_order(outputs[PROBABILITIES], champion.labels)
            columns = self._answer_columns(outputs, champion.labels, ordered)
        except Exception as error:  # whatever is wrong with a model of before
            problem = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            if champion is not None and problem != self._champion_problem:
                _log.warning("the champion cannot be scored: %s", problem)
            self._champion_problem = problem
            columns = self._no_answers(len(records))
            columns[PROBLEM] = [problem] * len(records)
        else:
            columns[PROBLEM] = [None] * len(records)
        arrays = [pa.array(columns[field.name], field.type) for field in type_]
        return pa.StructArray.from_arrays(arrays, fields=list(type_))

    def _no_answers(self, count: int) -> dict[str, Any]:
        # Parquet has no missing lists of a fixed size.
        probabilities = np.zeros((count, len(self._indices)), np.float32)
        return self._answer_columns({self._answer: [b""] * count}, (), probabilities)

    def _in_our_order(self, probabilities: Any, labels: Sequence[str]) -> npt.NDArray[np.float32]:
        """The champion's probabilities of the new model's labels, [N, K]; others are 0."""
        if probabilities.shape[1] != len(labels):
            raise StepError(f"it gives {probabilities.shape[1]} probabilities, not {len(labels)}")
        columns = {label: place for place, label in enumerate(labels)}
        ordered = np.zeros((len(probabilities), len(self._indices)), np.float32)
        for place, label in enumerate(self._indices):
            if label in columns:
                ordered[:, place] = probabilities[:, columns[label]]
        return ordered


_LOADED: dict[ScoredModel, Any] = {}
_LOADING = threading.Lock()


def _loaded(model: ScoredModel) -> Any:
    """The model, loaded once a process for all threads, splits and tasks of an evaluation."""
    with _LOADING:
        if model not in _LOADED:
            for other in [each for each in _LOADED if each.run != model.run]:
                del _LOADED[other]
            _LOADED[model] = _load(model.folder)
        return _LOADED[model]


def _load(folder: str) -> Any:
    with read_folder(folder) as local:
        model = load_saved_model(local)
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
        path = feature_text(parsed_example(records[0])[IMAGE_PATH][0])
        reason = str(error.message).splitlines()[0]
        raise StepError(f"the model cannot read {path}; ingest again ({reason})") from error
    return {name: tensor.numpy() for name, tensor in outputs.items()}
