"""TensorFlow's threads on processors that have other work too."""

import sys

from darkroom.start_up_lines import without_start_up_lines


def let_idle_threads_sleep() -> None:
    """Lets TensorFlow's threads sleep as soon as they have nothing to do.

    By default they look for more work in a loop for a while, which answers a little sooner where
    processors are idle anyhow. Where the same ones read requests or decode photographs, it takes a
    fifth to a third of their time (`python -m benchmarks serve`).

    It does something only in a process that has not imported TensorFlow yet.
    """
    if "tensorflow" in sys.modules:
        return
    with without_start_up_lines():
        import tensorflow as tf

    options = tf.compat.v1.ConfigProto.Experimental(disable_thread_spinning=True)
    # Only what enables eager execution takes options, and only where it is not enabled.
    tf.compat.v1.disable_eager_execution()
    tf.compat.v1.enable_eager_execution(tf.compat.v1.ConfigProto(experimental=options))
