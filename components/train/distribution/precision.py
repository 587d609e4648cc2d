"""The number format that networks are built to compute in."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def dtype_policy(policy: str) -> Iterator[None]:
    """Sets Keras's dtype policy for the networks built within the context.

    Args:
        policy: `float32`, `mixed_float16` or `mixed_bfloat16`.
    """
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
