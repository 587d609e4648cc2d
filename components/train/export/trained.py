"""Whether the exported model is the network that was trained: both answer photographs alike."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.data.batches import WorkerShard, evaluation_stream
from components.train.settings import TrainSettings
from darkroom.artifacts.model import XAI_MODEL
from darkroom.artifacts.saved_model import load_saved_model
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph
from darkroom.errors import StepError
from darkroom.storage.atomic import atomic_file

PROBABILITIES = "best.probabilities.npy"
"""What the trained network answers at its best epoch, beside its best weights."""
_PHOTOGRAPHS = 16
_TOLERANCES = {"float32": 1e-4, "mixed_float16": 2e-2, "mixed_bfloat16": 5e-2}
"""Largest difference in a probability, by the number format that the network was trained in."""
_TOLERANCE_OF_GPU = 5e-3
"""On a GPU float32 is computed in TF32, and the algorithm may differ from call to call."""

Floats = npt.NDArray[np.float32]


def sample(source: TransformedExamples, graph: TransformGraph) -> Any:
    """The first validation photographs, as the network takes them, [N, ...] of 16 at most."""
    stream = evaluation_stream(source, graph, "valid", WorkerShard(_PHOTOGRAPHS))
    inputs, _, weights = next(stream.as_numpy_iterator())
    return inputs[weights > 0]


def write_answers(model: Any, inputs: Any, folder: Path) -> None:
    """Writes what a network answers.

    Args:
        model: The keras.Model that is trained.
        inputs: What `sample` returned.
        folder: The folder of the best weights.
    """
    with atomic_file(folder / PROBABILITIES) as temporary, temporary.open("wb") as file:
        np.save(file, np.asarray(model(inputs, training=False), np.float32))


def check_exported(
    saved_model: Path,
    head: Any | None,
    inputs: Any,
    folder: Path,
    settings: TrainSettings,
    calibrated: Callable[[Floats], Floats],
) -> None:
    """Compares the exported model with what the trained network answered.

    Args:
        saved_model: The exported model's folder.
        head: The exported network's head, a keras.Model, where `inputs` are embeddings, which the
            exported model does not take.
        inputs: What `sample` returned.
        folder: The folder of the best weights.
        settings: The train step's settings.
        calibrated: What the calibration makes of the trained network's probabilities.

    Raises:
        StepError: They differ, so that another network would be evaluated and served.
    """
    if not (folder / PROBABILITIES).is_file():  # trained by a release that did not write it
        return
    trained = np.load(folder / PROBABILITIES, allow_pickle=False)
    if head is not None:
        exported = np.asarray(head(inputs, training=False))
    else:
        exported = _answers(saved_model, np.asarray(inputs, np.float32))
    difference = float(np.abs(exported - calibrated(trained)).max())
    # Written so that NaN fails.
    if not difference <= _tolerance(settings):
        raise StepError(
            f"the exported model is not the network that was trained: on {len(inputs)} validation "
            f"photographs their probabilities differ by up to {difference:.2g}. This is an error "
            "of Darkroom or of the backbone, whose layers must not depend on its weights: "
            f"report {settings.backbone} with weights {settings.weights}"
        )


def _answers(saved_model: Path, inputs: Floats) -> Floats:
    import tensorflow as tf

    loaded = load_saved_model(saved_model)
    answers = loaded.signatures[XAI_MODEL](input_images=tf.constant(inputs))
    probabilities: Floats = answers["probabilities"].numpy()
    return probabilities


def _tolerance(settings: TrainSettings) -> float:
    import tensorflow as tf

    stated = _TOLERANCES[settings.precision]
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    return max(stated, _TOLERANCE_OF_GPU) if has_gpu else stated
