"""The SavedModel's own answers: what every further form is compared with."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from components.artifacts.errors import StepError
from components.artifacts.model import XAI_MODEL
from components.train.exports.answers import Answers, Images, ask

ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


def saved_model_answers(folder: Path, images: Images) -> Answers:
    """Asks the SavedModel, on one thread of the CPU.

    In a process of its own: TensorFlow's threads and devices are settled at its first use, and a
    GPU calculates with fewer digits.

    Args:
        folder: The SavedModel.
        images: uint8 [N, H, W, 3].

    Raises:
        StepError: The SavedModel does not load or does not answer.
    """
    with tempfile.TemporaryDirectory() as scratch:
        asked, given = Path(scratch, "images.npy"), Path(scratch, "answers.npz")
        np.save(asked, images)
        command = [sys.executable, "-m", __name__, str(folder), str(asked), str(given)]
        root = str(Path(__file__).parents[3])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        environment = os.environ | ENVIRONMENT | {"PYTHONPATH": path}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        if ended.returncode:
            last = (ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"])[-1]
            raise StepError(f"the SavedModel that was just written does not answer: {last}")
        with np.load(given) as answers:
            return Answers(answers["probabilities"], float(answers["milliseconds"]))


def _main(folder: str, asked: str, given: str) -> None:
    import tensorflow as tf

    signature = tf.saved_model.load(folder).signatures[XAI_MODEL]
    answers = ask(
        lambda image: signature(input_images=image.astype(np.float32))["probabilities"],
        np.load(asked),
    )
    np.savez(given, probabilities=answers.probabilities, milliseconds=answers.milliseconds)


if __name__ == "__main__":
    _main(*sys.argv[1:])
