"""The further forms of a model, in its `exports/`: TensorFlow Lite and ONNX, for devices.

Each takes pixels, uint8 [1, H, W, 3] as the signature `xai_preprocess` gives them, and gives
`probabilities`, float32 [1, K].
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from darkroom.artifacts.model import EXPORTS_FILE
from darkroom.errors import StepError

TOLERANCE = 1e-4
"""Largest difference in a probability that a float form may have."""

Predict = Callable[[Any], Any]
"""Gives the probabilities of one image's pixels."""


class ExportedForm(NamedTuple):
    """A further form of a model.

    Attributes:
        name: One of `LOADERS`.
        path: Its file.
        largest_difference: The largest difference in a probability that train has measured.
    """

    name: str
    path: Path
    largest_difference: float

    @property
    def tolerance(self) -> float:
        """Largest difference in a probability that other photographs may have.

        Of one in 8 bits it is twice what train has measured on its sample.
        """
        in_8_bits = self.name in ("tflite_int8", "tflite_integer")
        return 2 * self.largest_difference if in_8_bits else TOLERANCE


def read_exported_forms(model: Path) -> list[ExportedForm]:
    """The further forms of a model, as train has written them.

    Args:
        model: The SavedModel directory.

    Raises:
        StepError: The list of them cannot be read, or names a form that this release cannot run.
    """
    path = model / EXPORTS_FILE
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["forms"]
        forms = [
            ExportedForm(row["form"], model / row["file"], float(row["largest_difference"]))
            for row in rows
            if row["form"] != "saved_model"
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StepError(f"cannot read {path}: {error}") from None
    for form in forms:
        if form.name not in LOADERS:
            raise StepError(f"{path} names the form '{form.name}', which is not known here")
    return forms


def load_tflite(path: Path) -> Predict:
    """Loads a file of TensorFlow Lite, to be run on one thread."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    run = interpreter.get_signature_runner("serving_default")
    scale, zero = run.get_output_details()["probabilities"]["quantization"]
    if not scale:  # of floats
        return lambda image: run(image=image)["probabilities"]
    return lambda image: (run(image=image)["probabilities"].astype("float32") - zero) * scale


def load_onnx(path: Path) -> Predict:
    """Loads a file of ONNX, to be run on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda image: session.run(["probabilities"], {"image": image})[0]


LOADERS: Mapping[str, Callable[[Path], Predict]] = {
    "tflite": load_tflite,
    "tflite_int8": load_tflite,
    "tflite_integer": load_tflite,
    "onnx": load_onnx,
}
