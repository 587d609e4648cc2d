"""Whether a form answers as the SavedModel does."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.data.batches import WorkerShard, evaluation_stream
from components.train.export import Images
from components.train.export.runtime import Answers
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph
from darkroom.errors import StepError

COMPARISON_IMAGES = 100
_PATTERN_CELLS = 8

TOLERANCE = 1e-4
"""Difference in a probability beyond which a float form is wrong."""
LEAST_AGREEMENT = 0.97
"""Part of the images whose first label int8 has to share, without a warning."""

_log = logging.getLogger("darkroom.train")


def comparison_images(source: TransformedExamples, graph: TransformGraph, seed: int) -> Images:
    """Some test photographs, spread evenly over the split.

    Where the split is empty they are of the validation split; where the records hold embeddings,
    which no form takes, they are drawn patterns, on which forms have to agree just as well.

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
    # The share of one of as many workers as there are photographs to pass over.
    share = WorkerShard(count * stride, workers=stride, replicas=stride)
    images, *_ = next(evaluation_stream(source, graph, split, share).as_numpy_iterator())
    return np.asarray(images, np.uint8)


def _patterns(size: tuple[int, int], seed: int) -> Images:
    """Coloured cells with noise over them: noise alone looks like one grey to a network."""
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
        answers: What the form answers.
        reference: What the SavedModel answers to the same images.
        thresholds: By label, where images may have several.

    Returns:
        `largest_difference` between two probabilities, `agreement`: the part of the images that
        get the same first label or, with thresholds, the same labels; and `milliseconds`.
    """
    difference = np.abs(answers.probabilities - reference.probabilities)
    same = _named(answers, thresholds) == _named(reference, thresholds)
    return {
        "largest_difference": float(difference.max()),
        "agreement": float(same.all(axis=1).mean()),
        "milliseconds": answers.milliseconds,
    }


def _named(answers: Answers, thresholds: Sequence[float] | None) -> npt.NDArray[Any]:
    """The first label, int64 [N, 1], or which labels, bool [N, K]."""
    named: npt.NDArray[Any]
    if thresholds is None:
        named = answers.probabilities.argmax(axis=1, keepdims=True)
    else:
        named = answers.probabilities >= np.array(thresholds, np.float32)
    return named


def check_exact(form: str, row: dict[str, Any]) -> None:
    """Checks a form that is to give the SavedModel's probabilities.

    Raises:
        StepError: It does not.
    """
    # Written so that a difference that is not a number fails.
    if not row["largest_difference"] <= TOLERANCE:
        raise StepError(
            f"the {form} form gives probabilities that are up to {row['largest_difference']:.2g} "
            f"off the SavedModel's, more than {TOLERANCE:g}: leave {form} out of train.export and "
            "run again, which goes on from the checkpoint"
        )


def check_agreement(form: str, row: dict[str, Any], images: int) -> None:
    """Warns of a rounded form that too often gives another label than the SavedModel."""
    if row["agreement"] < LEAST_AGREEMENT:
        _log.warning(
            "the %s form gives the SavedModel's label for %.1f %% of %s images, less than %g %%: "
            "measure it before you use it",
            *(form, row["agreement"] * 100, images, LEAST_AGREEMENT * 100),
        )
