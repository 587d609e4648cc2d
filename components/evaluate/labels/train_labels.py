"""The training split's labels, looked at through embeddings and cross-validation."""

import logging
from typing import Any

from components.evaluate.labels.suspects import Suspect
from darkroom.artifacts.examples import Examples
from darkroom.artifacts.model import Model

MOST = 20_000
"""Training photographs that are looked at."""
FOLDS = 5
VOTERS = 10
"""Neighbours whose labels are asked."""
NEAREST = 5
OUTLYING = 0.01
"""Share of the photographs that are called outlying at most."""
FAR = 3.5
"""Deviations from the median distance, from which on a photograph is outlying (Iglewicz and
Hoaglin, How to Detect and Handle Outliers, 1993)."""
AMBIGUOUS = 0.05
"""Difference of the two highest probabilities, below which a photograph is ambiguous."""
MISLABELLED, IS_AMBIGUOUS, IS_OUTLYING = "mislabelled", "ambiguous", "outlying"

_log = logging.getLogger("darkroom.evaluate")


def find_train_suspects(examples: Examples, model: Model) -> list[Suspect]:
    """Finds training photographs that are likely mislabelled, ambiguous or outlying.

    The model was trained on these labels, and believes most of them. So the labels of the nearest
    neighbours in its embedding are asked, cross-validated: no probability comes from a photograph's
    own label. (A logistic regression found fewer planted errors.) What is mislabelled is confident
    learning's (Northcutt, Jiang and Chuang, Journal of Artificial Intelligence Research 2021);
    outlying is what is far from its nearest neighbours.

    Args:
        examples: The examples.
        model: The model, whose embeddings are used.

    Returns:
        The likeliest mislabelled first, then the ambiguous, then the outlying; none where a label
        has too few photographs to be left out in turn.
    """
    import numpy as np

    from components.evaluate.predictions.embeddings import Embedder, distances

    known, vectors = Embedder(model.folder).records(
        examples.shards("train"), examples.counts.get("train", 0), MOST
    )
    names = sorted({photograph.label for photograph in known})
    labels = np.array([names.index(photograph.label) for photograph in known])
    if len(names) < 2 or np.bincount(labels).min() < FOLDS:
        _log.warning(
            "the training labels were not looked at: each of two labels or more needs %d "
            "photographs",
            FOLDS,
        )
        return []
    if not np.isfinite(vectors).all():
        _log.warning("the training labels were not looked at: an embedding is not a number")
        return []
    probabilities = _cross_validated(vectors, labels)
    own = probabilities[np.arange(len(labels)), labels]
    best = probabilities.argmax(axis=1)
    mislabelled = _mislabelled(labels, probabilities)
    top = np.sort(probabilities, axis=1)
    near = np.flatnonzero(top[:, -1] - top[:, -2] < AMBIGUOUS)
    far = _outlying(distances(vectors, vectors, NEAREST + 1))
    found: dict[int, str] = {}
    for places, issue in (
        (mislabelled, MISLABELLED),
        (near[np.argsort(top[near, -1], kind="stable")], IS_AMBIGUOUS),
        (far, IS_OUTLYING),
    ):
        for place in places:
            found.setdefault(int(place), issue)
    counts = [list(found.values()).count(each) for each in (MISLABELLED, IS_AMBIGUOUS, IS_OUTLYING)]
    _log.info(
        "of %s training photographs %d are likely mislabelled, %d ambiguous, %d outlying",
        *(f"{len(known):,}", *counts),
    )
    return [
        Suspect(
            "train",
            *known[place],
            names[best[place]] if issue != IS_OUTLYING else "",
            float(own[place]),
            issue,
        )
        for place, issue in found.items()
    ]


def _cross_validated(vectors: Any, labels: Any) -> Any:
    """Probabilities by neighbours among the other photographs, float64 [N, K]."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    fewest = len(labels) - -(-len(labels) // FOLDS)
    voters = KNeighborsClassifier(min(VOTERS, fewest), weights="distance")
    return cross_val_predict(voters, vectors, labels, cv=folds, method="predict_proba")


def _mislabelled(labels: Any, probabilities: Any) -> Any:
    from cleanlab.filter import find_label_issues

    return find_label_issues(
        labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
    )


def _outlying(apart: Any) -> Any:
    """Places of the photographs that are far from all others, the farthest first."""
    import numpy as np

    median = np.median(apart)
    deviation = np.median(np.abs(apart - median)) or 1e-12
    is_far = 0.6745 * (apart - median) / deviation > FAR
    order = np.argsort(-apart, kind="stable")[: max(1, int(len(apart) * OUTLYING))]
    return order[is_far[order]]
