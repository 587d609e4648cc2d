"""Confident learning: which labels are likely wrong, by probabilities that know nothing of them."""

import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_log = logging.getLogger("darkroom.labels")


def find_label_errors(
    given: "npt.NDArray[np.int64] | Sequence[Sequence[int]]",
    probabilities: "npt.NDArray[np.floating[Any]]",
) -> list[int]:
    """Finds the labels that are likely wrong.

    Northcutt, Jiang and Chuang, Confident learning, Journal of Artificial Intelligence Research
    2021, as cleanlab does it.

    Args:
        given: The place of each image's label, int64 [N], or a list of places an image, where
            images have several labels.
        probabilities: Of a model that was not trained on these labels, finite, [N, K].

    Returns:
        Places of the images, the likeliest wrong first; none where there is nothing to take a label
        for, or where cleanlab cannot tell, which is logged.
    """
    import numpy as np

    several = not isinstance(given, np.ndarray)
    if several:
        given, probabilities = _undecided_labels(given, probabilities)
    elif len(np.unique(given)) < 2:
        return []  # nothing to take one label for
    if not probabilities.shape[1]:
        return []
    from cleanlab.filter import find_label_issues

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that few images of a label are judged less well
        try:
            found = find_label_issues(
                given,
                probabilities,
                return_indices_ranked_by="self_confidence",
                multi_label=several,
                n_jobs=1,
            )
        except ValueError as error:  # what asks is worth more than this part of it
            _log.warning("labels were not looked at: %s", str(error).partition("\n")[0])
            return []
    return [int(place) for place in found]


def _undecided_labels(given: Any, probabilities: Any) -> tuple[Any, Any]:
    """The labels that some images have and some have not: of others nothing can be learned."""
    import numpy as np

    having = np.zeros(probabilities.shape, np.bool_)
    for place, labels in enumerate(given):
        having[place, labels] = True
    mixed = np.flatnonzero(having.any(axis=0) & ~having.all(axis=0))
    return [np.flatnonzero(row).tolist() for row in having[:, mixed]], probabilities[:, mixed]
