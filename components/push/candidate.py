"""A version as it will be pushed: the model, its proof and its warm-up requests."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.artifacts.model import IMAGE_BYTES, SERVING_DEFAULT, Model
from darkroom.artifacts.proof import Proof, write_proof
from darkroom.records.tfrecord import write_record

WARM_UP = Path("assets.extra") / "tf_serving_warmup_requests"
"""Where TF Serving looks for requests to send itself before it serves a version."""


def build_candidate(model: Model, proof: Proof, verdict: Mapping[str, Any], folder: Path) -> None:
    """Writes a version's files, all but its manifest.

    Args:
        model: The model.
        proof: What it must answer.
        verdict: What the evaluation said of it; JSON values.
        folder: Where they go; empty.
    """
    shutil.copytree(model.folder, folder, dirs_exist_ok=True)
    _write_warm_up(folder / WARM_UP, proof)
    write_proof(folder, proof, verdict)


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
