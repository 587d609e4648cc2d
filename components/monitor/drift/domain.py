"""Whether a classifier can tell a window's embeddings from the reference's.

The classifier is fitted on what came before, and judged on the next window, which it has not seen,
beside photographs of the reference that it has not seen either: so its ranks may be bet on
(Shekhar and Ramdas, Nonparametric two-sample testing by betting, IEEE Transactions on Information
Theory 2024; Pandeva et al., E-valuating classifier two-sample tests, TMLR 2024). A change shows in
the second window that has it.

    direction = None
    for look, window in enumerate(windows, 1):
        if direction is not None:
            allowed = highest_mean_rank(len(held_out), range_error(share, look))
            evidence = add_window(evidence, ranks_along(direction, window, held_out), allowed)
        direction = fit_direction(window, fitted)

`fitted` and `held_out` are halves of a bounded sample of the reference. The last window alone is
fitted on: with those before it a change shows later (on the flowers, in the third window of it).
"""

import numpy as np
import numpy.typing as npt

from components.monitor.drift.ranks import ranks

Floats = npt.NDArray[np.float64]
_STRENGTH = 0.001
"""C of the regression: a hundred photographs of a thousand dimensions, of which 0.01 and 0.1 learn
more than comes back in the next window."""
_FOLDS = 5


def fit_direction(window: npt.ArrayLike, reference: npt.ArrayLike) -> Floats:
    """The direction in which a window differs most from the reference, float64 [D].

    The weights of scikit-learn's logistic regression on standardized embeddings, with both sides
    of equal weight. It can be kept as JSON.

    Args:
        window: Embeddings of the window before; at most some thousands, [N, D].
        reference: Embeddings of the part of the reference that is fitted on, [M, D].

    >>> generator = np.random.default_rng(0)
    >>> window, reference = generator.normal(size=(2, 200, 3))
    >>> direction = fit_direction(window + [0, 2, 0], reference)
    >>> int(np.abs(direction).argmax()), bool(direction[1] > 0)
    (1, True)
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    new, old = np.asarray(window, np.float64), np.asarray(reference, np.float64)
    scaler = StandardScaler().fit(old)
    x = scaler.transform(np.concatenate([new, old]))
    is_new = np.repeat([1, 0], [len(new), len(old)])
    model = LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=200).fit(x, is_new)
    found: Floats = model.coef_[0] / scaler.scale_
    return found


def ranks_along(direction: npt.ArrayLike, window: npt.ArrayLike, held_out: npt.ArrayLike) -> Floats:
    """The ranks of a window along a direction, float64 [N].

    Their mean is the area under the classifier's ROC curve, 0.5 if nothing has changed.

    Args:
        direction: As `fit_direction` found it before this window, [D].
        window: Embeddings, [N, D].
        held_out: Embeddings of the reference that nothing was fitted on, [M, D].
    """
    weights = np.asarray(direction, np.float64)
    return ranks(np.asarray(window) @ weights, np.asarray(held_out) @ weights)


def separability(window: npt.ArrayLike, reference: npt.ArrayLike, seed: int = 0) -> float:
    """How well a classifier tells this very window from the reference: an area under a ROC curve.

    Of a regression as in `fit_direction`, in 5-fold cross-validation. A figure for people, of one
    window alone: 0.5 is by chance, 1 fully.

    Args:
        window: Embeddings, [N, D], N of at least 5.
        reference: Embeddings, [M, D], M of at least 5.
        seed: Of the folds.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = np.concatenate([np.asarray(window), np.asarray(reference)]).astype(np.float64)
    is_new = np.repeat([1, 0], [len(np.asarray(window)), len(np.asarray(reference))])
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=200)
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(model, x, is_new, cv=folds, method="decision_function")
    return float(roc_auc_score(is_new, scores))
