"""Writes what a version is held against once it serves: the folder `reference` of the version."""

import dataclasses
import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.artifacts.evaluation import Evaluation
from darkroom.artifacts.examples import (
    HEIGHT,
    IMAGE_BYTES,
    IMAGE_ID,
    LABEL,
    LABELS,
    MEASURE_TYPES,
    MONITORED,
    SOURCE,
    WIDTH,
    Examples,
)
from darkroom.artifacts.model import EMBEDDING
from darkroom.artifacts.predictions import first_predictions
from darkroom.artifacts.reference import MOST_EMBEDDINGS, most_answers, write_version_reference
from darkroom.artifacts.statistics import Statistics
from darkroom.errors import StepError
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BATCH = 32
_ENOUGH = 50
"""Photographs of production that a version is held against; with fewer it is against all."""
_HIGHEST = 65504.0
"""The largest number of a float16."""
_log = logging.getLogger("darkroom.push")


def write_reference(
    version: Path,
    signatures: Mapping[str, Any],
    evaluation: Evaluation,
    examples: Examples,
    statistics: Statistics,
    *,
    embedded: bool,
) -> None:
    """Writes a version's reference.

    One that was made of photographs of production too is held against those alone, of the valid and
    the test split, where there are enough: they are what it is to meet. Against all photographs it
    would have drifted the day it was pushed.

    Args:
        version: The version's folder, before its digests are written.
        signatures: The model's.
        evaluation: Its evaluation.
        examples: The examples of that evaluation.
        statistics: Those of the photographs that the model was made of.
        embedded: Whether embeddings may travel; of one a photograph can be made out roughly
            (Dosovitskiy and Brox, Inverting visual representations, CVPR 2016).

    Raises:
        StepError: A photograph of the evaluation is not among the examples.
    """
    most = most_answers(len(evaluation.labels))
    answers = first_predictions(evaluation.folder, most, {SOURCE: MONITORED})
    if len(answers) >= _ENOUGH:
        statistics = _statistics(examples, set(answers[IMAGE_ID].to_pylist()))
    else:
        answers = first_predictions(evaluation.folder, most)
    embeddings = None
    if embedded:
        image_ids = answers[IMAGE_ID].slice(0, MOST_EMBEDDINGS).to_pylist()
        embeddings = _embeddings(signatures[EMBEDDING], examples, image_ids)
    write_version_reference(
        version,
        evaluation.labels,
        bool(evaluation.manifest.get("multi_label", False)),
        answers,
        statistics,
        embeddings,
    )
    held = "no embeddings" if embeddings is None else f"{len(embeddings)} embeddings"
    _log.info("reference: %d answers, %s", len(answers), held)


@dataclasses.dataclass(frozen=True)
class _Photograph:
    """What is known of a photograph, as `Statistics` counts it."""

    height: int
    width: int
    file_format: str
    brightness: float
    contrast: float
    sharpness: float
    converted: bool = False


def _statistics(examples: Examples, image_ids: set[str]) -> Statistics:
    """Those of some photographs of the valid and the test split."""
    from PIL import Image

    found = Statistics()
    for split, example in _chosen(examples, image_ids):
        measured = {name: example[name][0] for name in (HEIGHT, WIDTH, *MEASURE_TYPES)}
        file_format = str(Image.open(io.BytesIO(example[IMAGE_BYTES][0])).format)
        labels = [label.decode() for label in example.get(LABELS) or example[LABEL]]
        found.add(_Photograph(file_format=file_format, **measured), split, *labels)
    return found


def _embeddings(
    signature: Any, examples: Examples, image_ids: list[str]
) -> "npt.NDArray[np.float16]":
    """The embeddings of photographs, float16 [N, D]; some are in memory at a time."""
    import numpy as np
    import tensorflow as tf

    found: dict[str, Any] = {}
    for batch in _batches(examples, set(image_ids)):
        embedded = signature(image_bytes=tf.constant(list(batch.values())))["embedding"].numpy()
        rows = np.clip(embedded, -_HIGHEST, _HIGHEST).astype(np.float16)
        found.update(zip(batch, rows.reshape(len(batch), -1), strict=True))
    missing = [image_id for image_id in image_ids if image_id not in found]
    if missing:
        raise StepError(f"{examples.folder} has no evaluated photograph {missing[0]}")
    return np.array([found[image_id] for image_id in image_ids], np.float16)


def _batches(examples: Examples, wanted: set[str]) -> Iterator[dict[str, bytes]]:
    batch: dict[str, bytes] = {}
    for _, example in _chosen(examples, wanted):
        batch[example[IMAGE_ID][0].decode()] = example[IMAGE_BYTES][0]
        if len(batch) == _BATCH:
            yield batch
            batch = {}
    if batch:
        yield batch


def _chosen(examples: Examples, image_ids: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Examples of the valid and the test split, each once, with their split."""
    left = set(image_ids)
    for split in ("valid", "test"):
        for shard in examples.shards(split):
            if not left:
                return
            for record in read_records(shard):
                example = parsed_example(record)
                image_id = example[IMAGE_ID][0].decode()
                if image_id in left:
                    left.remove(image_id)
                    yield split, example
