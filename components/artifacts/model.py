"""The model artifact: its signatures, and the files beside the SavedModel."""

import dataclasses
from pathlib import Path
from typing import Any

from components.artifacts.manifest import read_manifest

KIND = "model"
LABELS_FILE = "labels.txt"
HISTORY_FILE = "history.json"
EXPORTS_FILE = "exports.json"
"""Sizes, times and agreement of the further forms, where any were asked for."""
EXPORTS_FOLDER = "exports"

SERVING_DEFAULT = "serving_default"
FROM_FILENAMES = "from_filenames"
FROM_EXAMPLES = "from_examples"
WITH_KEY = "with_key"
EMBEDDING = "embedding"
XAI_PREPROCESS = "xai_preprocess"
XAI_MODEL = "xai_model"

PREDICTION_OUTPUTS = frozenset({"label", "label_index", "probability", "probabilities"})

SIGNATURE_OUTPUTS: dict[str, frozenset[str]] = {
    SERVING_DEFAULT: PREDICTION_OUTPUTS,
    FROM_FILENAMES: PREDICTION_OUTPUTS | {"filenames"},
    FROM_EXAMPLES: PREDICTION_OUTPUTS | {"image_id"},
    WITH_KEY: PREDICTION_OUTPUTS | {"key"},
    EMBEDDING: frozenset({"embedding"}),
    XAI_PREPROCESS: frozenset({"input_images"}),
    XAI_MODEL: PREDICTION_OUTPUTS,
}
"""What each signature gives; public API, held by a test."""


@dataclasses.dataclass(frozen=True)
class Model:
    """A model artifact that is whole.

    Attributes:
        folder: The SavedModel directory.
        labels: The labels in the order of `probabilities`.
        manifest: The whole manifest.
    """

    folder: Path
    labels: tuple[str, ...]
    manifest: dict[str, Any]


def read_model(folder: Path) -> Model:
    """Reads a model artifact's manifest and labels.

    Raises:
        StepError: The artifact is missing or not whole.
    """
    manifest = read_manifest(folder, KIND)
    return Model(folder, tuple(manifest["labels"]), manifest)
