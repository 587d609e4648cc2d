"""What answers say of themselves, as values to be cut: confidence and entropy."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


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
