"""What answers say of themselves, as values to be tested: labels, confidence, entropy."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def label_counts(probabilities: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """How many photographs each label was given to, int64 [K].

    Args:
        probabilities: Of one label an image, [N, K].

    >>> label_counts([[0.7, 0.3], [0.6, 0.4], [0.1, 0.9]]).tolist()
    [2, 1]
    """
    given = np.asarray(probabilities)
    return np.bincount(given.argmax(axis=1), minlength=given.shape[1])


def confidences(probabilities: npt.ArrayLike) -> Floats:
    """The probability of the given label, float64 [N].

    Args:
        probabilities: [N, K].
    """
    found: Floats = np.asarray(probabilities, np.float64).max(axis=1)
    return found


def entropies(probabilities: npt.ArrayLike) -> Floats:
    """The entropy as a part of the largest possible, float64 [N]: 0 is sure, 1 is no idea.

    SciPy's entropy, to the base of the number of labels.

    Args:
        probabilities: [N, K], K of at least 2.

    >>> entropies([[0.5, 0.5], [1.0, 0.0]]).tolist()
    [1.0, 0.0]
    """
    from scipy.stats import entropy

    given = np.asarray(probabilities, np.float64)
    found: Floats = np.clip(entropy(given, base=given.shape[1], axis=1), 0, 1)
    return found
