"""Runs a form: `python -m components.train.export.runtime_process FORM PATH IN OUT`."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from components.train.export import onnx, tflite
from components.train.export.runtime_client import Answer, Images
from darkroom.artifacts.model import XAI_MODEL


def load_saved_model(path: Path) -> Answer:
    """Loads a SavedModel; threads and devices are the process's."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def answer(image: Images) -> Any:
        # Through what was loaded, with which the variables live.
        signature = loaded.signatures[XAI_MODEL]
        return signature(input_images=image.astype(np.float32))["probabilities"]

    return answer


LOADERS: dict[str, Callable[[Path], Answer]] = {
    "saved_model": load_saved_model,
    "tflite": tflite.load,
    "tflite_int8": tflite.load,
    "onnx": onnx.load,
}


def main(form: str, path: str, asked: str, given: str) -> None:
    """Answers each image by itself, and the first one twice, since first answers take longer."""
    answer, images = LOADERS[form](Path(path)), np.load(asked)
    answer(images[:1])
    probabilities, seconds = [], []
    for number in range(len(images)):
        image = images[number : number + 1]
        begun = time.perf_counter()
        probabilities.append(np.asarray(answer(image), np.float32))
        seconds.append(time.perf_counter() - begun)
    milliseconds = round(float(np.median(seconds)) * 1000, 3)
    np.savez(given, probabilities=np.concatenate(probabilities), milliseconds=milliseconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
