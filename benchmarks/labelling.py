"""What to label next: accuracy by labels asked for, beside photographs chosen by chance.

A regression on MobileNetV2's features of the flowers, as in `drift_flowers`, starts with 50
labelled photographs, and 10 times 50 more are labelled: those that Darkroom chooses, or any.
Accuracy is on 1,000 photographs that are never labelled. In each life all ways start with the same.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.drift_flowers import features
from components.monitor.labelling.choice import choose
from components.monitor.labelling.pool import Pool
from components.monitor.labelling.settings import LabellingSettings, ReasonShares

LIVES, FIRST, ROUNDS, EACH, TEST = 20, 50, 10, 50, 1000
SEED = 100
"""Of the first life; those from 10 to 19 served to compare ways to choose."""
WAYS: dict[str, ReasonShares | None] = {
    "by chance": None,
    "uncertain": ReasonShares(uncertain=1, near_threshold=0, mislabelled=0, unlike_known=0),
    "near_threshold": ReasonShares(uncertain=0, near_threshold=1, mislabelled=0, unlike_known=0),
    "all, Darkroom's shares": ReasonShares(),
}

Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Flowers(NamedTuple):
    """All flowers, with what a pool asks for.

    Attributes:
        labels: int64 [N].
        embeddings: float32 [N, D].
    """

    labels: Places
    embeddings: npt.NDArray[np.float32]


def accuracies(flowers: Flowers, shares: ReasonShares | None, seed: int) -> list[float]:
    """Accuracy after each round, and before the first."""
    order = np.random.default_rng(seed).permutation(len(flowers.labels))
    test, known, rest = np.split(order, [TEST, TEST + FIRST])
    found = []
    for number in range(ROUNDS + 1):
        model = _fitted(flowers, known)
        found.append(
            float((model.predict(flowers.embeddings[test]) == flowers.labels[test]).mean())
        )
        if number < ROUNDS:
            if shares is None:  # `rest` is in a random order
                taken: Any = np.arange(EACH)
            else:
                settings = LabellingSettings(budget=EACH, shares=shares, seed=seed + number)
                pool = _pool(flowers, rest, model)
                chosen = choose(pool, settings, flowers.embeddings[known])
                taken = [choice.place for choice in chosen]
            known = np.concatenate([known, rest[taken]])
            rest = np.delete(rest, taken)
    return found


def _fitted(flowers: Flowers, places: Places) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=0.1, max_iter=300)
    return model.fit(flowers.embeddings[places], flowers.labels[places])


def _pool(flowers: Flowers, places: Places, model: Any) -> Pool:
    names = tuple(str(place) for place in places)
    probabilities = model.predict_proba(flowers.embeddings[places]).astype(np.float64)
    return Pool(
        tuple(map(str, model.classes_)),
        names,
        names,
        probabilities,
        flowers.embeddings[places],
        np.zeros(len(places), np.bool_),
        np.zeros(probabilities.shape, np.bool_),
    )


def measure() -> str:
    """Accuracy by labelled photographs, the mean of all lives, and how far ahead of chance."""
    from scipy.stats import ttest_1samp

    flowers = Flowers(*(features("none")[name] for name in ("label", "embedding")))
    labelled = [FIRST + EACH * number for number in range(0, ROUNDS + 1, 2)]
    lines = [
        f"| chosen | {' | '.join(map(str, labelled))} | ahead, mean of the rounds | lives ahead |",
        "|---" * (len(labelled) + 3) + "|",
    ]
    by_chance: Floats | None = None
    for way, shares in WAYS.items():
        found = np.array([accuracies(flowers, shares, SEED + life) for life in range(LIVES)])
        cells = " | ".join(f"{value:.3f}" for value in found.mean(axis=0)[::2])
        if by_chance is None:
            by_chance, ahead = found, " | "
        else:
            lead = (found - by_chance)[:, 1:].mean(axis=1)
            low, high = ttest_1samp(lead, 0).confidence_interval()
            ahead = (
                f"{lead.mean():+.3f} ({low:+.3f} to {high:+.3f}) | {(lead > 0).sum()} of {LIVES}"
            )
        lines.append(f"| {way} | {cells} | {ahead} |")
    return "\n".join(lines)
