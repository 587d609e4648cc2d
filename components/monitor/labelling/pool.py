"""The photographs that are chosen from: what a model says of them, and what is known of them."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from darkroom.artifacts.batch_predictions import (
    EMBEDDING,
    IMAGE,
    IMAGE_ID,
    LABELS,
    PROBABILITIES,
    BatchPredictions,
)
from darkroom.errors import SettingsError, StepError
from darkroom.sources.table_records import location_of
from darkroom.storage.paths import is_uri

if TYPE_CHECKING:
    import pyarrow as pa

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Pool:
    """Photographs with predictions, each once.

    Attributes:
        labels: The model's labels, K of them.
        images: Absolute path or URI of each photograph.
        image_ids: SHA-256 of each one's file.
        probabilities: float64 [N, K], finite.
        embeddings: float32 [N, D], finite.
        labelled: Whether a photograph has a label already, bool [N].
        given: Which of the model's labels it has, bool [N, K]; none where its label is new to the
            model.
        thresholds: Of a multi-label model, the probability from which on a photograph has a label,
            float64 [K]; None where each photograph has one label.
        left_out: Rows of the predictions that are not here: copies, and what is not finite.
    """

    labels: tuple[str, ...]
    images: tuple[str, ...]
    image_ids: tuple[str, ...]
    probabilities: Floats
    embeddings: npt.NDArray[np.float32]
    labelled: npt.NDArray[np.bool_]
    given: npt.NDArray[np.bool_]
    thresholds: Floats | None = None
    left_out: int = 0

    @property
    def answers(self) -> npt.NDArray[np.bool_]:
        """The labels that the model gives, bool [N, K]."""
        if self.thresholds is not None:
            return np.greater_equal(self.probabilities, self.thresholds)
        best: npt.NDArray[np.bool_] = np.eye(len(self.labels), dtype=np.bool_)[
            self.probabilities.argmax(axis=1)
        ]
        return best

    def names(self, row: npt.NDArray[np.bool_]) -> tuple[str, ...]:
        """The names of labels.

        Args:
            row: Of `answers` or `given`, bool [K].
        """
        return tuple(self.labels[place] for place in np.flatnonzero(row))


def read_pool(
    predictions: "pa.Table",
    labels: Sequence[str],
    known: Mapping[str, Collection[str]] | None = None,
    thresholds: Sequence[float] | None = None,
    folder: str = "",
) -> Pool:
    """Reads the photographs of predictions.

    Of photographs of one `image_id` the first is taken.

    Args:
        predictions: Rows as batch prediction writes them, with embeddings.
        labels: The model's labels, in the order of the probabilities.
        known: The labels of those that have some, by `image_id`.
        thresholds: Of a multi-label model, in the order of the labels; else None.
        folder: What the paths of photographs are relative to, such as the folder of the table that
            named them, with a slash at its end; empty for the current one.

    Raises:
        SettingsError: The predictions have no embeddings.
        StepError: No photograph is left.
    """
    if EMBEDDING not in predictions.column_names:
        raise SettingsError("the predictions have no embeddings: predict with embedding: true")
    known = known or {}
    ids = predictions[IMAGE_ID].to_pylist()
    probabilities, embeddings = (_matrix(predictions[name]) for name in (PROBABILITIES, EMBEDDING))
    sound = np.isfinite(probabilities).all(axis=1) & np.isfinite(embeddings).all(axis=1)
    first = {ids[place]: int(place) for place in np.flatnonzero(sound)[::-1]}
    places = sorted(first.values())
    if not places:
        raise StepError("the predictions have no photograph with finite probabilities")
    kept = [ids[place] for place in places]
    images = [
        _absolute(location_of(image, folder))
        for image in predictions[IMAGE].take(places).to_pylist()
    ]
    return Pool(
        tuple(labels),
        tuple(images),
        tuple(kept),
        probabilities[places].astype(np.float64),
        embeddings[places].astype(np.float32),
        np.array([bool(known.get(image_id)) for image_id in kept]),
        _given(kept, known, labels),
        None if thresholds is None else np.asarray(thresholds, np.float64),
        len(ids) - len(places),
    )


def read_answers(
    predictions: BatchPredictions, columns: Sequence[str] = (), folder: str = ""
) -> tuple[Pool, list[dict[str, Any]]]:
    """Reads the photographs of a predictions artifact of any format, without their embeddings.

    Args:
        predictions: The artifact.
        columns: Further columns that are read of each.
        folder: As in `read_pool`.

    Returns:
        The photographs, none of which has a label, and the further columns of each.

    Raises:
        SettingsError: The model may give several labels, or there is no such column.
        StepError: No photograph is left.
    """
    names = (IMAGE, IMAGE_ID, PROBABILITIES, LABELS, *columns)
    rows: dict[str, dict[str, Any]] = {}
    for row in predictions.read(names):
        if LABELS in row:
            raise SettingsError("pseudo-labels are for models that give each photograph one label")
        if np.isfinite(row[PROBABILITIES]).all():
            rows.setdefault(row[IMAGE_ID], row)
    if not rows:
        raise StepError("the predictions have no photograph with finite probabilities")
    kept = list(rows.values())
    for name in columns:
        if not any(name in row for row in kept):
            raise SettingsError(f"the predictions have no column '{name}'")
    count = len(kept)
    pool = Pool(
        predictions.labels,
        tuple(_absolute(location_of(row[IMAGE], folder)) for row in kept),
        tuple(rows),
        np.array([row[PROBABILITIES] for row in kept], np.float64),
        np.zeros((count, 0), np.float32),
        np.zeros(count, np.bool_),
        np.zeros((count, len(predictions.labels)), np.bool_),
        left_out=predictions.rows - count,
    )
    return pool, [{name: row.get(name, "") for name in columns} for row in kept]


def _absolute(location: str) -> str:
    return location if is_uri(location) else str(Path(location).absolute())


def _matrix(column: Any) -> npt.NDArray[Any]:
    """The lists of a column as rows."""
    rows = column.combine_chunks()
    flat = rows.flatten().to_numpy(zero_copy_only=False)
    found: npt.NDArray[Any] = flat.reshape(len(rows), -1) if len(rows) else np.empty((0, 0))
    return found


def _given(
    ids: Sequence[str], known: Mapping[str, Collection[str]], labels: Sequence[str]
) -> npt.NDArray[np.bool_]:
    given = [[label in known.get(image_id, ()) for label in labels] for image_id in ids]
    return np.array(given, np.bool_).reshape(len(ids), len(labels))
