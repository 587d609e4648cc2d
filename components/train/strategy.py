"""Where the training runs: one device, or copies on every GPU of the machine."""

from typing import Any


def build_strategy(name: str) -> Any:
    """Builds a `tf.distribute.Strategy`.

    Args:
        name: `one_device` or `mirrored`.

    Returns:
        The strategy, within whose scope the model and optimizer are to be made.
    """
    import tensorflow as tf

    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    device = "/gpu:0" if tf.config.list_physical_devices("GPU") else "/cpu:0"
    return tf.distribute.OneDeviceStrategy(device)
