"""The further forms of a model: TensorFlow Lite and ONNX, each checked against the SavedModel."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Images = npt.NDArray[np.uint8]
"""Images of the model's size, uint8 [N, H, W, 3]."""
Answer = Callable[[Images], Any]
"""From one image, uint8 [1, H, W, 3], to probabilities, float32 [1, K]."""
