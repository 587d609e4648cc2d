"""Random changes to batches of training photographs, in tf.data: uint8 in, uint8 out.

They stand in the input pipeline and not in the network, so that an exported model holds nothing
of them, they run while the device trains, and XLA needs no image operations. Whole batches are
changed, on uint8 wherever it can be, in the fewest passes over the pixels. Most of Keras's layers
of the same names cost three times as much and more, and keep their random state in variables,
which a parallel `tf.data` reads in no reproducible order.
"""

from components.train.augmentation.augment import Augment, build_augmentation

__all__ = ["Augment", "build_augmentation"]
