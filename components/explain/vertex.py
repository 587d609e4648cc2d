"""The specification with which Vertex explains a served model's answers, from our settings."""

from pathlib import Path
from typing import Any

from components.explain.settings import ExplainSettings
from darkroom.storage.atomic import write_json

SPECIFICATION_FILE = "explanation_spec.json"
"""The ExplanationSpec of a model's upload: parameters and metadata."""
METADATA_FILE = "explanation_metadata.json"
"""Its metadata alone, as `gcloud ai models upload --explanation-metadata-file` takes them."""
MOST_STEPS = 100
"""Vertex takes no more."""
_BASELINES = {"black": [0.0], "grey": [127.5], "white": [255.0], "black_and_white": [0.0, 255.0]}


def explanation_metadata(settings: ExplainSettings) -> dict[str, Any]:
    """The ExplanationMetadata: what is explained by what.

    Vertex sends photographs through the signatures `xai_preprocess` and `xai_model`, which its
    documentation asks for where a model takes encoded bytes.

    Args:
        settings: The explain step's settings.

    Returns:
        The message in JSON.
    """
    visual = {"type": "OUTLINES" if settings.method == "xrai" else "PIXELS", "polarity": "BOTH"}
    return {
        "inputs": {
            "image": {
                "inputTensorName": "image_bytes",
                "modality": "image",
                "inputBaselines": _BASELINES[settings.baseline],
                "visualization": visual,
            }
        },
        "outputs": {"probabilities": {"outputTensorName": "probabilities"}},
    }


def explanation_specification(settings: ExplainSettings) -> dict[str, Any] | None:
    """The ExplanationSpec; None for `grad_cam`, which Vertex does not have."""
    steps = min(settings.steps, MOST_STEPS)
    parameters: dict[str, Any]
    if settings.method == "integrated_gradients":
        parameters = {"integratedGradientsAttribution": {"stepCount": steps}}
    elif settings.method == "xrai":
        parameters = {"xraiAttribution": {"stepCount": steps}}
    elif settings.method == "kernel_shap":
        # Each path asks about every region once.
        paths = max(1, min(50, settings.samples // settings.regions))
        parameters = {"sampledShapleyAttribution": {"pathCount": paths}}
    else:
        return None
    return {"parameters": parameters, "metadata": explanation_metadata(settings)}


def write_specification(folder: Path, settings: ExplainSettings) -> None:
    """Writes the specification and its metadata, where Vertex has the method."""
    specification = explanation_specification(settings)
    if specification is not None:
        write_json(folder / SPECIFICATION_FILE, specification)
        write_json(folder / METADATA_FILE, specification["metadata"])
