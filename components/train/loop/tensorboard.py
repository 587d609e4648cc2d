"""TensorBoard summaries: metrics, weight histograms, graph, samples, confusion matrix."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FOLDER = "tensorboard"
"""Name of the folder of event files, beside the checkpoint."""

SAMPLES = 16
_CELL_PIXELS = 16
_LABELS_IN_TABLE = 50


class TensorBoardWriter:
    """Writes event files for TensorBoard.

    Args:
        folder: The checkpoint's folder.
        labels: The labels, in the order of the probabilities; None where photographs have several,
            as there is no confusion matrix then.
        overwrite: Whether to delete the event files of an earlier training.
    """

    def __init__(self, folder: Path, labels: Sequence[str] | None, overwrite: bool) -> None:
        import tensorflow as tf

        logs = folder / FOLDER
        if overwrite:
            shutil.rmtree(logs, ignore_errors=True)
        self._labels = labels
        self._train = tf.summary.create_file_writer(str(logs / "train"))
        self._valid = tf.summary.create_file_writer(str(logs / "valid"))

    def show_model(self, model: Any) -> None:
        """Writes the graph of a keras.Model."""
        import tensorflow as tf

        inputs = tf.TensorSpec(model.inputs[0].shape, model.inputs[0].dtype)
        concrete = tf.function(lambda x: model(x, training=False)).get_concrete_function(inputs)
        with self._train.as_default():
            tf.summary.graph(concrete.graph)

    def show_samples(self, images: Any) -> None:
        """Writes augmented training photographs.

        Args:
            images: Pixels 0 to 255, uint8 or float32 [N, H, W, 3].
        """
        import tensorflow as tf

        pixels = tf.cast(tf.clip_by_value(tf.cast(images, tf.float32), 0, 255), tf.uint8)
        with self._train.as_default():
            tf.summary.image("augmented", pixels, step=0, max_outputs=SAMPLES)

    def show_epoch(
        self, entry: Mapping[str, Any], weights: Sequence[Any], confusion: npt.NDArray[Any]
    ) -> None:
        """Writes the results of an epoch.

        Args:
            entry: The history's entry.
            weights: The phase's trainable keras.Variables.
            confusion: Validation photographs by true and predicted label, float32 [K, K].
        """
        import tensorflow as tf

        step = entry["epoch"]
        with self._train.as_default(step):
            for name in ("loss", "accuracy", "learning_rate"):
                tf.summary.scalar(name, entry[name])
            for weight in weights:
                tf.summary.histogram(weight.path, weight.value)
        with self._valid.as_default(step):
            for name in ("loss", "accuracy"):
                tf.summary.scalar(name, entry[f"val_{name}"])
            if self._labels is not None:
                tf.summary.image("confusion", confusion_image(confusion)[np.newaxis])
                if len(self._labels) <= _LABELS_IN_TABLE:
                    tf.summary.text("confusion_table", confusion_table(confusion, self._labels))
        self._train.flush()
        self._valid.flush()


def confusion_image(confusion: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Draws a confusion matrix: one row per true label, darker cells for larger fractions.

    Args:
        confusion: Counts by true and predicted label, [K, K].

    Returns:
        Pixels, uint8 [H, W, 1].
    """
    parts = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
    shades = np.round(255 * (1 - parts)).astype(np.uint8)
    large: npt.NDArray[np.uint8] = np.kron(shades, np.ones((_CELL_PIXELS,) * 2, np.uint8))
    return large[..., np.newaxis]


def confusion_table(confusion: npt.NDArray[Any], labels: Sequence[str]) -> str:
    """Writes a confusion matrix as a Markdown table with one row per true label."""
    names = [label.replace("|", "\\|") for label in labels]
    lines = [["true \\ predicted", *names], ["---"] * (len(names) + 1)]
    for name, row in zip(names, confusion, strict=True):
        lines.append([name, *(f"{count:.0f}" for count in row)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
