"""A version as it will be pushed: model, proof, reference, warm-up requests, card, signature."""

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.push.sbom import bill_of_materials
from components.push.targets.target import PUSHED
from darkroom.artifacts.evaluation import MODEL_CARD_FILE, Evaluation
from darkroom.artifacts.manifest import MANIFEST, README, digest_of
from darkroom.artifacts.model import IMAGE_BYTES, SERVING_DEFAULT, Model
from darkroom.artifacts.proof import FOLDER as PROOF
from darkroom.artifacts.proof import Proof, file_digests, write_proof
from darkroom.artifacts.signature import sign_version
from darkroom.errors import StepError
from darkroom.records.tfrecord import write_record
from darkroom.storage.atomic import write_json, write_text

WARM_UP = Path("assets.extra") / "tf_serving_warmup_requests"
"""Where TF Serving looks for requests to send itself before it serves a version."""


def build_candidate(
    model: Model,
    evaluation: Evaluation,
    proof: Proof,
    record: Mapping[str, Any],
    write_reference: Callable[[Path], None],
    signing_key: str | None,
    folder: Path,
) -> Model:
    """Writes a version's files, the signature of all others last.

    Args:
        model: The model.
        evaluation: Its evaluation.
        proof: What it must answer.
        record: The entry `pushed` of its manifest; JSON values.
        write_reference: Writes what it is held against once it serves, into its folder.
        signing_key: File of the private key that signs them, if any does.
        folder: Where they go; empty.

    Returns:
        The version, as it will be pushed.

    Raises:
        SettingsError: The key cannot be read.
        StepError: The copy of the model is damaged.
    """
    shutil.copytree(model.folder, folder, dirs_exist_ok=True)
    digests = file_digests(folder)
    digests.pop(MANIFEST)
    if digest_of(digests) != model.manifest["digest"]:
        raise StepError(f"the copy of {model.folder} in {folder} is damaged; push again")
    manifest = {**model.manifest, PUSHED: record}
    write_json(folder / MANIFEST, manifest)
    _write_warm_up(folder / WARM_UP, proof)
    beside = folder / PROOF
    beside.mkdir()
    card = evaluation.folder / MODEL_CARD_FILE
    if card.is_file():
        shutil.copyfile(card, folder / README)
    write_text(beside / "sbom.cdx.json", bill_of_materials("image classifier", model, digests))
    write_reference(folder)
    write_proof(folder, proof, _verdict(evaluation), digests)
    if signing_key is not None:
        sign_version(folder, Path(signing_key))
    return dataclasses.replace(model, folder=folder, manifest=manifest)


def _verdict(evaluation: Evaluation) -> dict[str, Any]:
    """What the version's proof says of its evaluation."""
    return {
        "blessed": evaluation.blessed,
        "count": evaluation.count,
        "metrics": evaluation.metrics,
        "thresholds": evaluation.manifest["settings"].get("thresholds"),
        "champion": evaluation.manifest.get("champion"),
        "evaluation_digest": evaluation.manifest.get("digest"),
        "model_digest": evaluation.manifest.get("model_digest"),
    }


def _write_warm_up(path: Path, proof: Proof) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    path.parent.mkdir()
    with path.open("wb") as file:
        for image in proof.images:
            log = PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = SERVING_DEFAULT
            request.inputs[IMAGE_BYTES].CopyFrom(tf.make_tensor_proto([image]))
            write_record(file, log.SerializeToString(deterministic=True))
