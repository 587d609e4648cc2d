"""The training loop: many steps a call, on one device, several devices or several workers.

Keras 3's own `fit` fails under MultiWorkerMirroredStrategy (keras-team/keras issue 20585).
"""

import dataclasses
from typing import Any

from components.train.model.losses import MEASURES, Loss
from components.train.model.thresholds import BINS

_SEED_STRIDE = 1_000_003
"""Difference between the seeds of two devices."""


@dataclasses.dataclass(frozen=True)
class MetricSums:
    """Metrics summed over steps.

    Attributes:
        steps: Number of steps before the first whose loss is not a finite number.
        examples: Sum of the examples' weights.
        measures: Sums of `MEASURES`, in that order; the training loss is weighted by class.
    """

    steps: int
    examples: float
    measures: tuple[float, ...]

    def means(self, prefix: str = "") -> dict[str, float]:
        """The means by name.

        Args:
            prefix: Put before each name, such as `val_`.
        """
        values = [value / max(self.examples, 1.0) for value in self.measures]
        return {f"{prefix}{name}": value for name, value in zip(MEASURES, values, strict=True)}


class StepRunner:
    """Compiled training and evaluation steps of one phase.

    Args:
        model: keras.Model from pixels to probabilities, created within the strategy's scope.
        optimizer: A built keras.Optimizer, created there too.
        loss: Loss and metrics.
        strategy: The distribution strategy.
        workers: Number of workers.
        jit_compile: Whether XLA compiles the training step.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Loss,
        strategy: Any,
        workers: int,
        jit_compile: bool,
    ) -> None:
        import tensorflow as tf

        self._workers = workers
        self._model, self._optimizer, self._loss = model, optimizer, loss
        self._strategy = strategy
        self._replicas = strategy.num_replicas_in_sync
        with strategy.scope():
            # Every device adds to its own copy; reading sums the copies.
            self._sums = tf.Variable(
                tf.zeros([2 + len(MEASURES)]),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            labels = model.output_shape[-1]
            self._counts = tf.Variable(
                tf.zeros([2, labels, BINS] if loss.multi_label else [labels, labels]),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
        step = tf.function(self._step, jit_compile=True) if jit_compile else self._step

        def train(iterator: Any, steps: Any, signals: Any) -> tuple[Any, Any]:
            for _ in tf.range(steps):
                strategy.run(step, args=(next(iterator),))
            return self._sums.read_value(), self._added(signals)

        def evaluate(iterator: Any, steps: Any) -> tuple[Any, Any]:
            self._sums.assign(tf.zeros(self._sums.shape))
            self._counts.assign(tf.zeros(self._counts.shape))
            for _ in tf.range(steps):
                strategy.run(self._evaluation_step, args=(next(iterator),))
            return self._sums.read_value(), self._counts.read_value()

        self._train, self._evaluate = tf.function(train), tf.function(evaluate)
        self._average = tf.function(self._average_batch_norm)
        self._decorrelate = tf.function(self._decorrelate_seeds)

    def start(self, sums: MetricSums | None = None) -> None:
        """Resets the sums to zero, or to those of a checkpoint."""
        import tensorflow as tf

        values = [0.0] * (2 + len(MEASURES))
        if sums is not None:
            values = [sums.steps * self._replicas, sums.examples, *sums.measures]
        with self._strategy.scope():
            self._sums.assign(tf.constant(values, tf.float32))

    def train(
        self, iterator: Any, steps: int, signals: tuple[float, float]
    ) -> tuple[MetricSums, Any]:
        """Trains for some steps.

        Args:
            iterator: Iterator of a distributed training stream.
            steps: Number of steps.
            signals: Two numbers of this worker.

        Returns:
            The sums since `start`, and the signals summed over all workers, float32 [2].
        """
        import tensorflow as tf

        sums, added = self._train(iterator, tf.constant(steps), tf.constant(signals, tf.float32))
        return self._read(sums), added.numpy()

    def evaluate(self, iterator: Any, steps: int) -> tuple[MetricSums, Any]:
        """Evaluates without training; resets the sums of the training.

        Returns:
            The sums, and examples: by true and predicted label, float32 [K, K], or of several
            labels by whether they have a label, by label and by bin of its probability,
            float32 [2, K, BINS].
        """
        import tensorflow as tf

        sums, counts = self._evaluate(iterator, tf.constant(steps))
        return self._read(sums), counts.numpy()

    def sync_batch_norm(self) -> None:
        """Averages batch-norm moving statistics across replicas."""
        if self._replicas > 1:
            self._average()

    def decorrelate_seeds(self) -> None:
        """Gives every device different dropout seeds; call it once a process."""
        if self._replicas > 1:
            self._decorrelate()

    def _read(self, sums: Any) -> MetricSums:
        steps, examples, *measures = sums.numpy().tolist()
        return MetricSums(int(steps / self._replicas), examples, tuple(measures))

    def _step(self, batch: Any) -> None:
        import tensorflow as tf

        images, labels = batch
        weights = self._loss.weights(labels)
        variables = self._model.trainable_variables
        with tf.GradientTape() as tape:
            probabilities = self._model(images, training=True)
            measures = self._loss.measure(labels, probabilities)
            loss = tf.reduce_mean(weights * measures[:, 0]) + sum(self._model.losses)
            # The gradients of all devices are summed.
            scaled = self._optimizer.scale_loss(loss / self._replicas)
        gradients = tape.gradient(scaled, variables)
        self._optimizer.apply(gradients, variables)
        # The loss is weighted, as it is trained on; metrics are not, as in Keras.
        ones = tf.ones_like(weights)
        self._add(measures * tf.stack([weights, ones], 1), ones, loss)

    def _evaluation_step(self, batch: Any) -> None:
        import tensorflow as tf

        images, labels, weights = batch
        probabilities = self._model(images, training=False)
        measures = self._loss.measure(labels, probabilities)
        self._add(measures * weights[:, tf.newaxis], weights, 0.0)
        weighted = labels * weights[:, tf.newaxis]
        if self._loss.multi_label:
            bins = tf.one_hot(tf.cast(probabilities * (BINS - 1) + 0.5, tf.int32), BINS)
            without = weights[:, tf.newaxis] - weighted
            sides = [tf.einsum("nk,nkb->kb", side, bins) for side in (without, weighted)]
            self._counts.assign_add(tf.stack(sides))
        else:
            predicted = tf.one_hot(tf.argmax(probabilities, 1), tf.shape(labels)[1])
            self._counts.assign_add(tf.matmul(weighted, predicted, transpose_a=True))

    def _add(self, measures: Any, weights: Any, loss: Any) -> None:
        import tensorflow as tf

        # A sum that is not finite stays so: only the steps before are counted.
        finite = tf.cast(tf.math.is_finite(loss + self._sums[2]), tf.float32)
        head = tf.stack([finite, tf.reduce_sum(weights)])
        self._sums.assign_add(tf.concat([head, tf.reduce_sum(measures, 0)], 0))

    def _added(self, signals: Any) -> Any:
        import tensorflow as tf

        def add() -> Any:
            return tf.distribute.get_replica_context().all_reduce("sum", tf.identity(signals))

        if self._workers == 1:
            return signals
        one = self._strategy.experimental_local_results(self._strategy.run(add))[0]
        return one / (self._replicas / self._workers)

    def _average_batch_norm(self) -> None:
        import tensorflow as tf

        statistics = [
            variable.value
            for variable in self._model.non_trainable_weights
            if variable.value.dtype.is_floating
        ]

        def average() -> None:
            context = tf.distribute.get_replica_context()
            means = context.all_reduce("mean", [tf.identity(value) for value in statistics])
            for value, mean in zip(statistics, means, strict=True):
                value.assign(mean)

        if statistics:
            self._strategy.run(average)

    def _decorrelate_seeds(self) -> None:
        import tensorflow as tf

        weights = {id(variable) for variable in self._model.weights}
        states = [v.value for v in self._model.variables if id(v) not in weights]

        def spread() -> None:
            number = tf.distribute.get_replica_context().replica_id_in_sync_group
            for state in states:  # each a seed and a counter
                state.assign(state + tf.stack([tf.cast(number, tf.int64) * _SEED_STRIDE, 0]))

        if states:
            self._strategy.run(spread)


SHORTEST, LONGEST = 0.3, 1.5
"""Seconds a call should take: short enough to react to SIGTERM in time."""


class AdaptiveStepCount:
    """How many steps the next call of the loop runs: few calls, none of them long.

    The number is doubled or halved until a call takes `SHORTEST` to `LONGEST` seconds.

    Attributes:
        steps: Steps of the next call.
    """

    def __init__(self) -> None:
        self.steps = 1

    def adapt(self, seconds: float) -> None:
        """Adapts the number of steps to the duration of a call.

        Args:
            seconds: Duration, averaged over all workers so that all choose the same number.
        """
        if seconds < SHORTEST:
            self.steps *= 2
        elif seconds > LONGEST:
            self.steps = max(1, self.steps // 2)
