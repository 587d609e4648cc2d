"""The exported model as explanations ask it: pixels, probabilities and gradients."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from darkroom.artifacts.model import (
    FEATURES,
    XAI_FEATURES,
    XAI_HEAD,
    XAI_MODEL,
    XAI_PREPROCESS,
    read_model,
)
from darkroom.artifacts.saved_model import graph_reason, load_saved_model
from darkroom.errors import SettingsError, StepError
from darkroom.settings import nearest

Floats = npt.NDArray[np.float32]
_SMALLEST = 1e-6
BATCH = 16
"""Pictures a call: bounds the memory that gradients take."""


class ExplainedModel:
    """A model that is explained.

    Args:
        folder: The model.

    Attributes:
        labels: The labels in the order of the probabilities.

    Raises:
        StepError: It is no model, or lacks the signatures `xai_preprocess` and `xai_model`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        known = read_model(folder)
        self.labels, self._decision = known.labels, known.decision
        self._loaded = load_saved_model(folder)
        for name in (XAI_PREPROCESS, XAI_MODEL):
            if name not in self._loaded.signatures:
                raise StepError(f"the model {folder} has no signature '{name}'; train it again")

    def index_of(self, label: str) -> int:
        """The place of a label.

        Raises:
            SettingsError: The model has no such label.
        """
        if label not in self.labels:
            hint = nearest(label, self.labels)
            raise SettingsError(f"setting 'explain.label': the model has no label '{label}'{hint}")
        return self.labels.index(label)

    def pixels(self, image_bytes: bytes) -> Floats:
        """The photograph as the network sees it, float32 [H, W, 3] from 0 to 255.

        Raises:
            StepError: It cannot be decoded.
        """
        import tensorflow as tf

        try:
            signature = self._loaded.signatures[XAI_PREPROCESS]
            images = signature(image_bytes=tf.constant([image_bytes]))["input_images"]
        except tf.errors.InvalidArgumentError as error:
            reason = graph_reason(str(error.message)) or type(error).__name__
            raise StepError(f"the model cannot read it ({reason})") from error
        pixels: Floats = images.numpy()[0]
        return pixels

    def probabilities(self, images: Any) -> Floats:
        """Probabilities of pictures [N, H, W, 3], float32 [N, K]."""
        import tensorflow as tf

        signature = self._loaded.signatures[XAI_MODEL]
        answers = [
            signature(input_images=tf.constant(batch, tf.float32))["probabilities"].numpy()
            for batch in _batches(images)
        ]
        return np.concatenate(answers)

    def given_label(self, probabilities: Floats) -> int:
        """The place of the label that a picture of some probabilities, float32 [K], is given."""
        if self._decision is None:
            return int(probabilities.argmax())
        positive = self.labels.index(self._decision.positive_label)
        is_positive = probabilities[positive] >= np.float32(self._decision.threshold)
        return positive if is_positive else 1 - positive

    def gradients(self, images: Any, label: int) -> Floats:
        """Gradients of a label's probability by the pixels, float32 [N, H, W, 3]."""
        import tensorflow as tf

        signature, found = self._loaded.signatures[XAI_MODEL], []
        for batch in _batches(images):
            inputs = tf.constant(batch, tf.float32)
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                probability = signature(input_images=inputs)["probabilities"][:, label]
            found.append(tape.gradient(probability, inputs).numpy())
        return np.concatenate(found)

    def feature_gradients(self, pixels: Floats, label: int) -> tuple[Floats, Floats]:
        """The feature map of a picture [H, W, 3], and a label's log odds' gradients by it.

        Returns:
            Two arrays, float32 [h, w, D].

        Raises:
            StepError: The model has no signatures for its feature map.
        """
        import tensorflow as tf

        signatures = self._loaded.signatures
        if XAI_FEATURES not in signatures:
            raise StepError(
                f"the model {self._folder} has no signature '{XAI_FEATURES}': its backbone gives "
                "no feature map, or it is of an older release; take another explain.method"
            )
        features = signatures[XAI_FEATURES](input_images=tf.constant(pixels[np.newaxis]))[FEATURES]
        with tf.GradientTape() as tape:
            tape.watch(features)
            known = signatures[XAI_HEAD](features=features)["probabilities"][0, label]
            # Of a sure answer the probability itself hardly changes.
            log_odds = tf.math.log(known + _SMALLEST) - tf.math.log(1 - known + _SMALLEST)
        gradients = tape.gradient(log_odds, features)
        return features.numpy()[0], gradients.numpy()[0]


def _batches(images: Any) -> Sequence[Any]:
    return [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
