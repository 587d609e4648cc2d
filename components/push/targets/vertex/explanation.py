"""How Vertex explains a model's answers: by the signatures that were exported for it."""

import json
from typing import Any

from google.cloud.aiplatform_v1.types import ExplanationSpec

from darkroom.artifacts.model import IMAGE_BYTES, XAI_MODEL, XAI_PREPROCESS
from darkroom.artifacts.model_repository import GRAPH_FILE
from darkroom.errors import StepError
from darkroom.storage import files

_STEPS = 32
"""Pictures between black and the photograph, as the explain step begins with."""


def explanation_spec(location: str) -> Any | None:
    """The ExplanationSpec of a SavedModel; None where it lacks the signatures.

    Vertex sends photographs through `xai_preprocess` and `xai_model`, as its documentation asks
    for where a model takes encoded bytes.

    Args:
        location: Path or URI of the SavedModel directory.

    Raises:
        StepError: It cannot be read.
    """
    if not {XAI_PREPROCESS, XAI_MODEL} <= _signatures(location):
        return None
    image = {
        "inputTensorName": IMAGE_BYTES,
        "modality": "image",
        "inputBaselines": [0.0],
        "visualization": {"type": "OUTLINES", "polarity": "BOTH"},
    }
    outputs = {"probabilities": {"outputTensorName": "probabilities"}}
    specification = {
        "parameters": {"xraiAttribution": {"stepCount": _STEPS}},
        "metadata": {"inputs": {"image": image}, "outputs": outputs},
    }
    return ExplanationSpec.from_json(json.dumps(specification))


def _signatures(location: str) -> set[str]:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    graph = f"{location}/{GRAPH_FILE}"
    with files.clear_errors(f"cannot read {graph}", StepError):
        content = files.read_bytes(graph)
    try:
        saved = SavedModel.FromString(content)
    except DecodeError:
        raise StepError(f"{graph} is no SavedModel") from None
    return {name for graph in saved.meta_graphs for name in graph.signature_def}
