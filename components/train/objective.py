"""What is made small and what is counted, in one place: a photograph has one label of several."""

import dataclasses
from typing import Any

MEASURES = ("loss", "accuracy")
"""What `Objective.measure` gives, in its order."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """Cross-entropy of one label of several.

    Attributes:
        label_smoothing: Probability given to the labels a photograph does not have.
        class_weights: Weight of a label's training loss, float32 [K]; None: all weigh the same.
    """

    label_smoothing: float = 0.0
    class_weights: Any = None

    def measure(self, labels: Any, probabilities: Any) -> Any:
        """Every example's loss and hit.

        Args:
            labels: One-hot float32 [N, K].
            probabilities: float32 [N, K].

        Returns:
            float32 [N, 2], in the order of `MEASURES`.
        """
        import keras
        import tensorflow as tf

        losses = keras.losses.categorical_crossentropy(
            labels, probabilities, label_smoothing=self.label_smoothing
        )
        hits = tf.equal(tf.argmax(labels, 1), tf.argmax(probabilities, 1))
        return tf.stack([losses, tf.cast(hits, tf.float32)], 1)

    def weights(self, labels: Any) -> Any:
        """The weight of every example in the training loss, float32 [N]."""
        import tensorflow as tf

        if self.class_weights is None:
            return tf.ones(tf.shape(labels)[:1])
        return tf.linalg.matvec(labels, tf.constant(self.class_weights, tf.float32))


def balanced_weights(counts: Any) -> Any:
    """Weights under which every label counts the same, float64 [K], 1 on average over examples.

    Args:
        counts: Training examples by label, int64 [K]; one without any gets weight 0.
    """
    import numpy as np

    present = counts > 0
    weights = np.zeros(len(counts))
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights
