"""Photographs that a model is unsure of, and that are unlike each other.

BADGE (Ash et al., Deep batch active learning by diverse, uncertain gradient lower bounds, ICLR
2020): k-means++ in the gradients that the last layer would have if the model's own answer were the
label. Such a gradient is the outer product of what the answer lacks (label less probability) and
the embedding, so predictions alone give all distances: exactly so where one dense layer follows the
embedding. The gradient is small where the model is sure, and two are near where photographs look
alike and are taken for the same.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

CANDIDATES = 20_000
"""Photographs of the largest gradients that are drawn from; a drawing looks at all of them."""


def draw_diverse(
    lacking: npt.ArrayLike,
    embeddings: npt.ArrayLike,
    count: int,
    seed: int = 0,
    take: Callable[[int], bool] = lambda _: True,
) -> list[int]:
    """Draws photographs with large gradients that are far from each other.

    Each is drawn with a probability in proportion to the squared distance of its gradient from the
    nearest that was drawn (Arthur and Vassilvitskii, k-means++, SODA 2007), or from that of a
    photograph that the model is sure of.

    Args:
        lacking: What the answer lacks of being sure: 1 or 0 less the probability, [N, K].
        embeddings: [N, D].
        count: How many, at most.
        seed: The same seed gives the same photographs.
        take: Is asked of each that is drawn whether it is taken.

    Returns:
        Places of those that were taken, as drawn.

    >>> draw_diverse([[0.5, -0.5], [0.5, -0.5], [0.0, 0.0]], [[1.0], [9.0], [5.0]], 3)
    [1, 0]
    """
    answers, vectors = np.asarray(lacking, np.float32), np.asarray(embeddings, np.float32)
    lengths = np.square(answers).sum(axis=1) * np.square(vectors).sum(axis=1)
    places = np.argsort(-lengths, kind="stable")[:CANDIDATES]
    answers, vectors = answers[places], vectors[places]
    lengths = lengths[places].astype(np.float64)
    generator, nearest = np.random.default_rng(seed), lengths.copy()
    taken: list[int] = []
    while len(taken) < count and nearest.any():
        place = int(generator.choice(len(places), p=nearest / nearest.sum()))
        if take(int(places[place])):
            products = (answers @ answers[place]) * (vectors @ vectors[place])
            away = np.maximum(lengths + lengths[place] - 2 * products, 0)
            nearest = np.minimum(nearest, away)
            taken.append(place)
        nearest[place] = 0
    return [int(place) for place in places[taken]]
