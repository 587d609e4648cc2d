"""Loss functions, and the training metrics computed with them."""

import dataclasses
from typing import Any, ClassVar, Protocol

from components.train.data.batches import count_labels
from components.train.settings import TrainSettings
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph

MEASURES = ("loss", "accuracy")
"""The columns of what `Loss.measure` returns."""


class Loss(Protocol):
    """A loss, and whether a prediction is right.

    Attributes:
        multi_label: Whether photographs have several labels.
    """

    multi_label: ClassVar[bool]

    def measure(self, labels: Any, probabilities: Any) -> Any:
        """Computes every example's loss, and 1 for a hit or 0.

        Args:
            labels: One-hot, or multi-hot, float32 [N, K].
            probabilities: float32 [N, K].

        Returns:
            float32 [N, 2], in the order of `MEASURES`.
        """

    def weights(self, labels: Any) -> Any:
        """The weight of every example in the training loss, float32 [N]."""


@dataclasses.dataclass(frozen=True)
class SingleLabelLoss:
    """Cross-entropy for one label per photograph; a hit gives it the highest probability.

    Attributes:
        label_smoothing: Probability given to the labels a photograph does not have.
        class_weights: Weight of a label's training loss, float32 [K]; None: equal weights.
    """

    multi_label: ClassVar[bool] = False
    label_smoothing: float = 0.0
    class_weights: Any = None

    def measure(self, labels: Any, probabilities: Any) -> Any:
        """Computes every example's loss and hit, float32 [N, 2]."""
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


@dataclasses.dataclass(frozen=True)
class MultiLabelLoss:
    """Binary cross-entropy, averaged over labels; a hit has all labels right at threshold 0.5.

    Attributes:
        label_smoothing: Targets are moved from 0 and 1 towards 0.5 by half of it.
        positive_weights: Weight of a label's loss for photographs that have it, in training and
            validation, float32 [K]; None: 1.
    """

    multi_label: ClassVar[bool] = True
    label_smoothing: float = 0.0
    positive_weights: Any = None

    def measure(self, labels: Any, probabilities: Any) -> Any:
        """Computes every example's loss and hit, float32 [N, 2]."""
        import keras
        import tensorflow as tf

        targets = labels * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = keras.ops.binary_crossentropy(targets, probabilities)
        if self.positive_weights is not None:
            weights = tf.constant(self.positive_weights, tf.float32)
            losses *= 1 + labels * (weights - 1)
        hits = tf.reduce_all(tf.equal(labels >= 0.5, probabilities >= 0.5), 1)
        return tf.stack([tf.reduce_mean(losses, 1), tf.cast(hits, tf.float32)], 1)

    def weights(self, labels: Any) -> Any:
        """Ones, float32 [N]: labels are weighted, not examples."""
        import tensorflow as tf

        return tf.ones(tf.shape(labels)[:1])


def build_loss(settings: TrainSettings, source: TransformedExamples, graph: TransformGraph) -> Loss:
    """Builds the loss for the settings and data.

    Args:
        settings: The train step's settings.
        source: Transformed examples, whose labels are counted where classes are weighted.
        graph: The graph that gave them.
    """
    balanced = settings.class_weights == "balanced"
    counts = count_labels(source, graph) if balanced else None
    if graph.multi_label:
        ratios = positive_weights(counts, source.counts["train"]) if balanced else None
        return MultiLabelLoss(settings.label_smoothing, ratios)
    weights = balanced_weights(counts) if balanced else None
    return SingleLabelLoss(settings.label_smoothing, weights)


def balanced_weights(counts: Any) -> Any:
    """Class weights that balance the labels, float64 [K]; their mean over examples is 1.

    Args:
        counts: Training examples by label, int64 [K]; a label without examples gets weight 0.
    """
    import numpy as np

    present = counts > 0
    weights = np.zeros(len(counts))
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def positive_weights(counts: Any, examples: int) -> Any:
    """Weights that balance the examples with a label against those without, float64 [K].

    Args:
        counts: Training examples by label, int64 [K]; a label that no example or every example
            has gets weight 1.
        examples: Number of training examples.
    """
    import numpy as np

    weights = np.ones(len(counts))
    some = (counts > 0) & (counts < examples)
    weights[some] = (examples - counts[some]) / counts[some]
    return weights
