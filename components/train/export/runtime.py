"""Runs a form of the model in a process of its own, one image at a time, and times it.

The process is `python -m components.train.export.runtime FORM PATH IMAGES ANSWERS`.
"""

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.export import Answer, Images, onnx, tflite
from darkroom.artifacts import saved_model
from darkroom.artifacts.model import XAI_MODEL
from darkroom.errors import StepError

ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}


@dataclasses.dataclass(frozen=True)
class Answers:
    """A form's predictions for some images.

    Attributes:
        probabilities: float32 [N, K].
        milliseconds: Median time of one prediction.
    """

    probabilities: npt.NDArray[np.float32]
    milliseconds: float


def ask(form: str, path: Path, images: Images) -> Answers:
    """Runs a form on each image separately, on one CPU thread, in a subprocess.

    A subprocess, because TensorFlow's threads and devices are fixed at its first use, a GPU
    computes with fewer digits, and a crash of the runtime must not end the training.

    Args:
        form: `saved_model`, or one of `train.export`.
        path: The form's file, or the SavedModel's folder.
        images: uint8 [N, H, W, 3].

    Raises:
        StepError: The form fails to load or to run.
    """
    with tempfile.TemporaryDirectory() as scratch:
        asked, given = Path(scratch, "images.npy"), Path(scratch, "answers.npz")
        np.save(asked, images)
        module = f"{__package__}.runtime"
        command = [sys.executable, "-m", module, form, str(path), str(asked), str(given)]
        root = str(Path(__file__).parents[3])
        python_path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        environment = os.environ | ENVIRONMENT | {"PYTHONPATH": python_path}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        if ended.returncode:
            raise StepError(f"the runtime of the {form} form ends with {_reason(ended)}")
        with np.load(given) as answers:
            return Answers(answers["probabilities"], float(answers["milliseconds"]))


def _reason(ended: subprocess.CompletedProcess[str]) -> str:
    lines = ended.stderr.strip().splitlines()
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        return f"{name}: {lines[-1]}" if lines else name
    return lines[-1] if lines else f"exit code {ended.returncode}"


def load_saved_model(path: Path) -> Answer:
    """Loads a SavedModel, to be run on the process's threads and devices."""
    loaded = saved_model.load_saved_model(path)

    def answer(image: Images) -> Any:
        # Through `loaded`, which keeps the variables alive.
        signature = loaded.signatures[XAI_MODEL]
        return signature(input_images=image.astype(np.float32))["probabilities"]

    return answer


LOADERS: dict[str, Callable[[Path], Answer]] = {
    "saved_model": load_saved_model,
    "tflite": tflite.load,
    "tflite_int8": tflite.load,
    "tflite_integer": tflite.load,
    "onnx": onnx.load,
}


def main(form: str, path: str, asked: str, given: str) -> None:
    """Runs each image separately, and the first one twice, since a first call takes longer."""
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
