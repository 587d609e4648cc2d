"""Random numbers of a batch, determined by the seed and its position in the stream only."""

from typing import Any


class StatelessRandom:
    """Draws new numbers at each call, without state outside the batch.

    So batches can be made in parallel and in any order, and a resumed training sees the numbers of
    an uninterrupted one. The numbers of an example are drawn with those of its complete global
    batch, so they do not depend on the number of devices.
    """

    def __init__(self, seed: int, positions: Any, batch_size: int) -> None:
        """Starts the batch's numbers.

        Args:
            seed: The training's seed.
            positions: Positions of the batch's examples in the stream, int64 [N].
            batch_size: Examples in the global batch.
        """
        import tensorflow as tf

        self._batch_size = batch_size
        self._rows = positions % batch_size
        base = tf.constant([seed, 0xA06], tf.int64)
        self._seed = tf.random.experimental.stateless_fold_in(base, positions[0] // batch_size)
        self._calls = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Any:
        """Numbers from `low` up to `high`, one an example: float32 [N]."""
        import tensorflow as tf

        shape = [self._batch_size]
        drawn = tf.random.stateless_uniform(shape, self._next_seed(), low, high)
        return tf.gather(drawn, self._rows)

    def half(self) -> Any:
        """True with probability 0.5 for each example: bool [N]."""
        return self.uniform() < 0.5

    def one_of(self, count: int) -> Any:
        """One number below `count` for the whole global batch: int32, a scalar."""
        import tensorflow as tf

        return tf.random.stateless_uniform([], self._next_seed(), 0, count, tf.int32)

    def beta(self, alpha: float) -> Any:
        """Numbers from 0 to 1, beta-distributed with twice `alpha`, one an example: float32 [N]."""
        import tensorflow as tf

        shape = [2, self._batch_size]
        larger = tf.random.stateless_gamma(shape, self._next_seed(), alpha + 1)
        power = tf.random.stateless_uniform(shape, self._next_seed())
        # The logarithms of two gamma variates, which underflow float32 for a small alpha.
        one, other = tf.unstack(tf.math.log(larger) + tf.math.log1p(-power) / alpha)
        return tf.gather(tf.sigmoid(one - other), self._rows)

    def _next_seed(self) -> Any:
        import tensorflow as tf

        self._calls += 1
        return tf.random.experimental.stateless_fold_in(
            self._seed, tf.constant(self._calls, tf.int64)
        )
