"""Parity: whether a form predicts what the SavedModel predicts, and how often it is right."""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from components.train.data.batches import WorkerShard, evaluation_stream
from components.train.export import Images
from components.train.export.runtime import Answers
from darkroom.artifacts.exported import TOLERANCE
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph
from darkroom.errors import StepError

COMPARISON_IMAGES = 1000
"""Most photographs that forms are compared on."""
_COMPARISON_BYTES = 256 * 2**20
"""Most memory of their pixels."""
_PATTERNS = 100
_PATTERN_CELLS = 8

LEAST_AGREEMENT = 0.97
"""Fraction of the images with the same label below which a form of 8 bits causes a warning."""

_log = logging.getLogger("darkroom.train")


class Comparison(NamedTuple):
    """What the forms are compared on.

    Attributes:
        images: uint8 [N, H, W, 3].
        split: `test` or `valid`; None of patterns.
        labels: Which labels each image has, bool [N, K]; None of patterns.
    """

    images: Images
    split: str | None = None
    labels: npt.NDArray[np.bool_] | None = None


def comparison_of(source: TransformedExamples, graph: TransformGraph, seed: int) -> Comparison:
    """Takes the test photographs; of more than `COMPARISON_IMAGES`, some from all over the split.

    If the test split is empty, they come from the validation split. If the records hold embeddings,
    which no form takes, they are generated patterns, on which the forms must agree just as well.

    Args:
        source: Transformed examples.
        graph: The graph that gave them.
        seed: Seed of the patterns.
    """
    if source.embeddings is not None:
        return Comparison(_patterns(graph.image_size, seed))
    split = "test" if source.counts.get("test") else "valid"
    room = max(1, _COMPARISON_BYTES // source.record_bytes(split))
    count = min(COMPARISON_IMAGES, room, source.counts[split])
    stride = source.counts[split] // count
    # As the shard of one of `stride` workers, which reads every `stride`-th photograph.
    shard = WorkerShard(count * stride, workers=stride, replicas=stride)
    images, labels, _ = next(evaluation_stream(source, graph, split, shard).as_numpy_iterator())
    return Comparison(np.asarray(images, np.uint8), split, np.asarray(labels) > 0)


def _patterns(size: tuple[int, int], seed: int) -> Images:
    """Coloured cells with noise: to a network, noise alone looks like uniform grey."""
    generator = np.random.default_rng(seed)
    rows, columns = (np.arange(length) * _PATTERN_CELLS // length for length in size)
    shape = (_PATTERNS, _PATTERN_CELLS, _PATTERN_CELLS, 3)
    cells = generator.integers(0, 208, shape, np.uint8)[:, rows][:, :, columns]
    patterns: Images = cells + generator.integers(0, 48, cells.shape, np.uint8)
    return patterns


def compared(
    answers: Answers, reference: Answers, thresholds: Sequence[float] | None = None
) -> dict[str, float]:
    """Measures a form against the SavedModel.

    Args:
        answers: The form's predictions.
        reference: The SavedModel's predictions for the same images.
        thresholds: Thresholds by label, of a multi-label model.

    Returns:
        `largest_difference` between two probabilities; `agreement`, the fraction of the images
        with the same most probable label or, with thresholds, the same labels; `milliseconds`.
    """
    difference = np.abs(answers.probabilities - reference.probabilities)
    same = _named(answers, thresholds) == _named(reference, thresholds)
    return {
        "largest_difference": float(difference.max()),
        "agreement": float(same.all(axis=1).mean()),
        "milliseconds": answers.milliseconds,
    }


def accuracy(
    answers: Answers, labels: npt.NDArray[np.bool_], thresholds: Sequence[float] | None = None
) -> float:
    """How often a form is right: of several labels a photograph, with all of them.

    Args:
        answers: The form's predictions.
        labels: Which labels each image has, bool [N, K].
        thresholds: Thresholds by label, as in `compared`.
    """
    named = _named(answers, thresholds)
    truth = labels.argmax(axis=1, keepdims=True) if thresholds is None else labels
    return float((named == truth).all(axis=1).mean())


def _named(answers: Answers, thresholds: Sequence[float] | None) -> npt.NDArray[Any]:
    """The most probable label, int64 [N, 1], or with thresholds the labels, bool [N, K]."""
    named: npt.NDArray[Any]
    if thresholds is None:
        named = answers.probabilities.argmax(axis=1, keepdims=True)
    else:
        named = answers.probabilities >= np.array(thresholds, np.float32)
    return named


def check_exact(form: str, row: dict[str, Any]) -> None:
    """Checks that a form gives the SavedModel's probabilities.

    Raises:
        StepError: It does not.
    """
    # Written so that NaN fails.
    if not row["largest_difference"] <= TOLERANCE:
        raise StepError(
            f"the {form} form gives probabilities that are up to {row['largest_difference']:.2g} "
            f"off the SavedModel's, more than {TOLERANCE:g}: leave {form} out of train.export and "
            "run again, which resumes from the checkpoint"
        )


def check_agreement(form: str, row: dict[str, Any], images: int) -> None:
    """Warns if a quantized form gives another label than the SavedModel too often."""
    if row["agreement"] < LEAST_AGREEMENT:
        _log.warning(
            "the %s form gives the SavedModel's label for %.1f %% of %s images, less than %g %%: "
            "measure it before you use it",
            *(form, row["agreement"] * 100, images, LEAST_AGREEMENT * 100),
        )
