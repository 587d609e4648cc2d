"""The checks before a push: the model has every signature, and all give the same answers."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from darkroom.artifacts import model as model_format
from darkroom.artifacts.evaluation import Evaluation
from darkroom.artifacts.examples import IMAGE_BYTES, IMAGE_ID, Examples
from darkroom.artifacts.manifest import folder_digest
from darkroom.artifacts.model import Decision, Model
from darkroom.artifacts.predictions import probability_array, read_predictions
from darkroom.artifacts.proof import TOLERANCE, Proof
from darkroom.artifacts.saved_model import load_saved_model
from darkroom.errors import StepError
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records

SAMPLES = 16
"""Number of test photographs whose answers are compared."""

_log = logging.getLogger("darkroom.push")

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Checked(NamedTuple):
    """A model that may be pushed.

    Attributes:
        proof: Test photographs with the answers that the evaluation kept, or made images with those
            that the model gives.
        signatures: Those of the model, loaded.
    """

    proof: Proof
    signatures: Mapping[str, Any]


def check_model(
    model: Model, evaluation: Evaluation, examples: Examples, *, synthetic: bool = False
) -> Checked:
    """Checks that the model is the one that was evaluated, is unchanged, and answers the same.

    Args:
        model: The model.
        evaluation: Its evaluation.
        examples: The examples of that evaluation.
        synthetic: Whether the proof is to hold made images in place of test photographs.

    Raises:
        StepError: It is not blessed or not the evaluated one, a signature is missing, a
            signature's probabilities differ from the evaluation's, or its labels are not those
            whose probabilities reach their thresholds.
    """
    if not evaluation.blessed:
        raise StepError(f"the model is not blessed: {'; '.join(evaluation.reasons)}")
    digest = folder_digest(model.folder)
    if digest != model.manifest["digest"]:
        raise StepError(f"{model.folder} was changed after it was exported; train again")
    if evaluation.manifest.get("model_digest") != digest:
        raise StepError(f"{evaluation.folder} evaluated another model than {model.folder}")

    loaded = load_saved_model(model.folder)
    expected = model_format.signature_outputs(multi_label=model.thresholds is not None)
    _check_signatures(loaded.signatures, expected)
    records = _samples(examples)
    answers = _answers(loaded.signatures, records)
    expected_probabilities = _expected_probabilities(evaluation, records)
    _check_probabilities(answers, expected_probabilities)
    if model.thresholds is not None:
        _check_labels(answers, model.labels, model.thresholds)
    if model.decision is not None:
        _check_decision(answers, model.labels, model.decision)
    _log.info("%d photographs: every signature gives the same answers", len(records))
    if synthetic:
        answer = loaded.signatures[model_format.SERVING_DEFAULT]
        return Checked(_synthetic_proof(answer, model.labels), loaded.signatures)
    parsed = [parsed_example(record) for record in records]
    proof = Proof(
        model.labels,
        tuple(example[IMAGE_ID][0].decode() for example in parsed),
        tuple(example[IMAGE_BYTES][0] for example in parsed),
        expected_probabilities,
    )
    return Checked(proof, loaded.signatures)


def _check_signatures(
    signatures: Mapping[str, Any], expected: Mapping[str, frozenset[str]]
) -> None:
    for name, outputs in expected.items():
        if name not in signatures:
            if name in model_format.OPTIONAL_SIGNATURES:
                continue
            raise StepError(f"the model has no signature '{name}'")
        missing = outputs - set(signatures[name].structured_outputs)
        if missing:
            raise StepError(f"signature '{name}' does not give '{min(missing)}'")


def _samples(examples: Examples) -> list[bytes]:
    """The first records of the test split; they are the same in every run on the same data."""
    records: list[bytes] = []
    for shard in examples.shards("test"):
        for record in read_records(shard):
            records.append(record)
            if len(records) == SAMPLES:
                return records
    return records


def _expected_probabilities(
    evaluation: Evaluation, records: list[bytes]
) -> "npt.NDArray[np.float32]":
    """What the evaluation kept of the records' photographs, [N, K]."""
    import numpy as np

    predictions = read_predictions(evaluation.folder)
    identities = predictions[IMAGE_ID].to_pylist()
    stored = dict(zip(identities, probability_array(predictions), strict=True))
    image_ids = [parsed_example(record)[IMAGE_ID][0].decode() for record in records]
    unknown = [image_id for image_id in image_ids if image_id not in stored]
    if unknown:
        raise StepError(f"{evaluation.folder} has no prediction for test image {unknown[0]}")
    return np.array([stored[image_id] for image_id in image_ids], np.float32)


def _check_probabilities(
    answers: Mapping[str, Mapping[str, Any]], expected: "npt.NDArray[np.float32]"
) -> None:
    import numpy as np

    for name, answer in answers.items():
        difference = float(np.abs(answer["probabilities"] - expected).max())
        if not difference <= TOLERANCE:
            raise StepError(
                f"signature '{name}' differs from the evaluation by {difference:.2g} in a "
                f"probability (at most {TOLERANCE:g}): training-serving skew, not pushed"
            )


def _synthetic_proof(signature: Any, labels: Sequence[str]) -> Proof:
    """Coloured waves, as JPEG, and the model's own answers to them."""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(0)
    rows, columns = (axis[..., None, None] / 12 for axis in np.mgrid[:240, :320])
    images = []
    for _ in range(SAMPLES):
        waves = random.uniform(-1, 1, (4, 3, 3))  # four a channel: two frequencies and a phase
        angles = waves[..., 0] * rows + waves[..., 1] * columns + 3 * waves[..., 2]
        pixels = 127.5 + 30 * np.sin(angles).sum(-2)
        images.append(tf.io.encode_jpeg(pixels.astype(np.uint8), quality=90).numpy())
    answer = signature(image_bytes=tf.constant(images))["probabilities"].numpy()
    ids = tuple(hashlib.sha256(image).hexdigest() for image in images)
    return Proof(tuple(labels), ids, tuple(images), answer.astype(np.float32), synthetic=True)


def _check_labels(
    answers: Mapping[str, Mapping[str, Any]], labels: Sequence[str], thresholds: Sequence[float]
) -> None:
    """Checks each signature's labels against its probabilities and the manifest's thresholds."""
    import numpy as np

    for name, answer in answers.items():
        over = answer["probabilities"] >= np.array(thresholds, np.float32)
        for text, row in zip(answer[model_format.LABELS], over, strict=True):
            given = model_format.split_labels(text.decode(), labels)
            expected = [label for label, has in zip(labels, row, strict=True) if has]
            if given != expected:
                raise StepError(
                    f"signature '{name}' gives the labels {given}, but by its probabilities and "
                    f"the thresholds in the manifest they are {expected}; train again"
                )


def _check_decision(
    answers: Mapping[str, Mapping[str, Any]], labels: Sequence[str], decision: Decision
) -> None:
    """Checks that each signature gives the positive label from the manifest's threshold on."""
    import numpy as np

    positive = labels.index(decision.positive_label)
    for name, answer in answers.items():
        given = answer["probabilities"][:, positive] >= np.float32(decision.threshold)
        if not np.array_equal(answer["label_index"] == positive, given):
            raise StepError(
                f"signature '{name}' does not give '{decision.positive_label}' from a probability "
                f"of {decision.threshold:g} on, as the manifest says; train again"
            )


def _answers(signatures: Mapping[str, Any], records: list[bytes]) -> dict[str, dict[str, Any]]:
    """The outputs of each signature for the records' images, as arrays by name."""
    import tempfile

    import tensorflow as tf

    images = [parsed_example(record)[IMAGE_BYTES][0] for record in records]
    image_bytes = tf.constant(images)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / str(number) for number in range(len(images))]
        for file, image in zip(files, images, strict=True):
            file.write_bytes(image)
        filenames = tf.constant([str(file) for file in files])
        inputs: dict[str, dict[str, Any]] = {
            model_format.SERVING_DEFAULT: {"image_bytes": image_bytes},
            model_format.FROM_FILENAMES: {"filenames": filenames},
            model_format.FROM_EXAMPLES: {"examples": tf.constant(records)},
            model_format.WITH_KEY: {"image_bytes": image_bytes, "key": filenames},
            model_format.XAI_MODEL: signatures[model_format.XAI_PREPROCESS](
                image_bytes=image_bytes
            ),
        }
        if model_format.WITH_EMBEDDING in signatures:
            inputs[model_format.WITH_EMBEDDING] = {"image_bytes": image_bytes}
        return {
            name: {key: value.numpy() for key, value in signatures[name](**arguments).items()}
            for name, arguments in inputs.items()
        }
