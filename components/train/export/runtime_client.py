"""What a form of the model answers, and how long it takes: in a process, one image at a time."""

import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from darkroom.errors import StepError

Images = npt.NDArray[np.uint8]
Answer = Callable[[Images], Any]
"""From one image, uint8 [1, H, W, 3], to probabilities, float32 [1, K]."""

ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}


@dataclasses.dataclass(frozen=True)
class Answers:
    """A form's answers to some images.

    Attributes:
        probabilities: float32 [N, K].
        milliseconds: Median time of an answer.
    """

    probabilities: npt.NDArray[np.float32]
    milliseconds: float


def ask(form: str, path: Path, images: Images) -> Answers:
    """Asks a form for each of some images by itself, on one thread of the CPU.

    In a process of its own: TensorFlow's threads and devices are settled at its first use, a GPU
    calculates with fewer digits, and a runtime that crashes must not take the training along.

    Args:
        form: `saved_model`, or one of `train.export`.
        path: Its file, or the SavedModel's folder.
        images: uint8 [N, H, W, 3].

    Raises:
        StepError: The form does not load or does not answer.
    """
    with tempfile.TemporaryDirectory() as scratch:
        asked, given = Path(scratch, "images.npy"), Path(scratch, "answers.npz")
        np.save(asked, images)
        module = f"{__package__}.runtime_process"
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
