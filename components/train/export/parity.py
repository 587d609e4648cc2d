"""Parity: whether a form predicts what the SavedModel predicts, on sample photographs."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.data.batches import WorkerShard, evaluation_stream
from components.train.export import Images
from components.train.export.runtime import Answers
from darkroom.artifacts.exported import TOLERANCE
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph
from darkroom.errors import StepError

COMPARISON_IMAGES = 100
_PATTERN_CELLS = 8

LEAST_AGREEMENT = 0.97
"""Fraction of the images with the same label below which int8 causes a warning."""

_log = logging.getLogger("darkroom.train")


def comparison_images(source: TransformedExamples, graph: TransformGraph, seed: int) -> Images:
    """Samples test photographs evenly over the split.

    If the test split is empty, they come from the validation split. If the records hold embeddings,
    which no form takes, they are generated patterns, on which the forms must agree just as well.

    Args:
        source: Transformed examples.
        graph: The graph that gave them.
        seed: Seed of the patterns.

    Returns:
        uint8 [N, H, W, 3].
    """
    if source.embeddings is not None:
        return _patterns(graph.image_size, seed)
    split = "test" if source.counts.get("test") else "valid"
    count = min(COMPARISON_IMAGES, source.counts[split])
    stride = source.counts[split] // count
    # As the shard of one of `stride` workers, which reads every `stride`-th photograph.
    shard = WorkerShard(count * stride, workers=stride, replicas=stride)
    images, *_ = next(evaluation_stream(source, graph, split, shard).as_numpy_iterator())
    return np.asarray(images, np.uint8)


def _patterns(size: tuple[int, int], seed: int) -> Images:
    """Coloured cells with noise: to a network, noise alone looks like uniform grey."""
    generator = np.random.default_rng(seed)
    rows, columns = (np.arange(length) * _PATTERN_CELLS // length for length in size)
    shape = (COMPARISON_IMAGES, _PATTERN_CELLS, _PATTERN_CELLS, 3)
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
