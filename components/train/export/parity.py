"""Whether a form answers as the SavedModel does."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.export.runtime_client import Answers
from darkroom.errors import StepError

TOLERANCE = 1e-4
"""Difference in a probability beyond which a float form is wrong."""
LEAST_AGREEMENT = 0.97
"""Part of the images whose first label int8 has to share, without a warning."""

_log = logging.getLogger("darkroom.train")


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
