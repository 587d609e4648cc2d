"""The maximum mean discrepancy: a kernel two-sample test of embeddings.

Gretton et al., A kernel two-sample test, Journal of Machine Learning Research 2012: the unbiased
estimate (equation 3), a Gaussian kernel as wide as the median distance, and a p-value by
permutation. It is of one look; `corrected` says what it is worth beside those of other windows.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ROWS = 1000
"""Embeddings of each side that are looked at. A larger window says little more: the reference's
own chance stays."""


class KernelTest(NamedTuple):
    """A window's embeddings beside those of the reference.

    Attributes:
        mmd2: The squared discrepancy; about 0, or a little below, for photographs that are alike.
        p_value: Of photographs that are alike, for one look.
    """

    mmd2: float
    p_value: float


def bandwidth(reference: npt.ArrayLike, seed: int = 0) -> float:
    """The median distance between embeddings of the reference; measured once, and kept.

    Args:
        reference: [M, D], M of at least 2.
        seed: Of the sample of at most `ROWS`.

    >>> round(bandwidth([[0.0], [1.0], [3.0]]), 6)
    2.0
    """
    from scipy.spatial.distance import pdist

    return float(np.median(pdist(_sample(reference, np.random.default_rng(seed)))))


def kernel_test(
    window: npt.ArrayLike,
    reference: npt.ArrayLike,
    bandwidth: float,
    permutations: int = 500,
    seed: int = 0,
) -> KernelTest:
    """Tests whether a window's embeddings are distributed as those of the reference.

    At most `ROWS` of each are drawn, so that a window of any size takes a second or so.

    Args:
        window: [N, D], N of at least 2.
        reference: [M, D], M of at least 2.
        bandwidth: Of the kernel, as `bandwidth` finds it; above 0.
        permutations: The smallest p-value is one over their number and one.
        seed: Of the samples and permutations.

    >>> generator = np.random.default_rng(0)
    >>> window, reference = generator.normal(size=(2, 100, 3))
    >>> kernel_test(window + 1, reference, bandwidth(reference)).p_value < 0.01
    True
    >>> kernel_test(window, reference, bandwidth(reference)).p_value > 0.05
    True
    """
    from sklearn.metrics.pairwise import rbf_kernel

    generator = np.random.default_rng(seed)
    new, old = _sample(window, generator), _sample(reference, generator)
    kernel = rbf_kernel(np.concatenate([new, old]), gamma=1 / (2 * bandwidth**2))
    np.fill_diagonal(kernel, 0)
    is_new = np.zeros((permutations + 1, len(kernel)), kernel.dtype)
    is_new[:, : len(new)] = 1
    is_new[1:] = generator.permuted(is_new[1:], axis=1)
    found = _mmd2(kernel, is_new)
    # The figures of permutations are rounded otherwise than the window's own.
    as_large = int((found[1:] >= found[0] - 1e-12).sum())
    return KernelTest(float(found[0]), (1 + as_large) / (1 + permutations))


def _mmd2(
    kernel: npt.NDArray[np.float64], is_new: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The unbiased estimate for each way of calling embeddings new, [P]."""
    new = is_new[0].sum()
    old = len(kernel) - new
    to_new = is_new @ kernel
    among_new = (to_new * is_new).sum(axis=1)
    across = to_new.sum(axis=1) - among_new
    among_old = kernel.sum() - among_new - 2 * across
    found: npt.NDArray[np.float64] = (
        among_new / (new * (new - 1)) + among_old / (old * (old - 1)) - 2 * across / (new * old)
    )
    return found


def _sample(embeddings: npt.ArrayLike, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    rows = np.asarray(embeddings)
    if len(rows) > ROWS:
        rows = rows[generator.choice(len(rows), ROWS, replace=False)]
    return rows.astype(np.float64)
