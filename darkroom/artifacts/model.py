"""The model artifact: its signatures, and the files beside the SavedModel."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkroom.artifacts.manifest import read_manifest

KIND = "model"
LABELS_FILE = "labels.txt"
HISTORY_FILE = "history.json"
EXPORTS_FILE = "exports.json"
"""Sizes, times and agreement of the further forms, where any were asked for."""
EXPORTS_FOLDER = "exports"
INTEGER_FILE = "model_integer.tflite"
"""In `exports/`: the form that calculates in whole numbers only, which the edge bundle holds."""
THRESHOLDS_FILE = "thresholds.txt"
"""In `exports/` of a multi-label model, whose forms give probabilities only: one a label."""

SERVING_DEFAULT = "serving_default"
FROM_FILENAMES = "from_filenames"
IMAGE_BYTES = "image_bytes"
"""The input of `serving_default`, and the feature that `from_examples` reads."""
FROM_EXAMPLES = "from_examples"
WITH_KEY = "with_key"
EMBEDDING = "embedding"
WITH_EMBEDDING = "with_embedding"
XAI_PREPROCESS = "xai_preprocess"
XAI_MODEL = "xai_model"
XAI_FEATURES = "xai_features"
XAI_HEAD = "xai_head"
FEATURES = "features"
"""Output of `xai_features` and input of `xai_head`: the backbone's feature map."""

PREDICTION_OUTPUTS = frozenset({"label", "label_index", "probability", "probabilities"})

LABELS = "labels"
"""Output of a multi-label model: the names over their thresholds, in one text an image."""

SIGNATURE_OUTPUTS: dict[str, frozenset[str]] = {
    SERVING_DEFAULT: PREDICTION_OUTPUTS,
    FROM_FILENAMES: PREDICTION_OUTPUTS | {"filenames"},
    FROM_EXAMPLES: PREDICTION_OUTPUTS | {"image_id"},
    WITH_KEY: PREDICTION_OUTPUTS | {"key"},
    EMBEDDING: frozenset({"embedding"}),
    WITH_EMBEDDING: PREDICTION_OUTPUTS | {"embedding"},
    XAI_PREPROCESS: frozenset({"input_images"}),
    XAI_MODEL: PREDICTION_OUTPUTS,
    XAI_FEATURES: frozenset({FEATURES}),
    XAI_HEAD: PREDICTION_OUTPUTS,
}
"""What each signature gives; public API, held by a test.

A network whose backbone gives an embedding and no feature map has neither `XAI_FEATURES` nor
`XAI_HEAD`. Those of a multi-label model give `LABELS` too, and `label`, `label_index` and
`probability` are of the most probable label."""

OPTIONAL_SIGNATURES = frozenset({WITH_EMBEDDING, XAI_FEATURES, XAI_HEAD})
"""Those that not every model has; `WITH_EMBEDDING` came after the first release."""

_SEPARATORS = (" ", "|")
"""Of names in one text, where no name holds them."""


@dataclasses.dataclass(frozen=True)
class Decision:
    """How a model of two labels decides, where it is not for the more probable one.

    Attributes:
        positive_label: The label that is given from the threshold on; below it, the other.
        threshold: A probability, exact in float32.
    """

    positive_label: str
    threshold: float

    @property
    def rest_threshold(self) -> float:
        """The probability from which on the other label is given, exact in float32."""
        import numpy as np

        rest = np.float32(1) - np.float32(self.threshold)
        return float(np.nextafter(rest, np.float32(1)))


@dataclasses.dataclass(frozen=True)
class Model:
    """A model artifact that is complete.

    Attributes:
        folder: The SavedModel directory.
        labels: The labels in the order of `probabilities`.
        thresholds: Of a multi-label model, the probability from which on an image has a label, by
            label; None of a model of one label an image.
        decision: Of a model of two labels that was given a positive one; else None.
        manifest: The whole manifest.
    """

    folder: Path
    labels: tuple[str, ...]
    thresholds: tuple[float, ...] | None
    decision: Decision | None
    manifest: dict[str, Any]


def read_model(folder: Path) -> Model:
    """Reads a model artifact's manifest and labels.

    Raises:
        StepError: The artifact is missing or not complete.
    """
    manifest = read_manifest(folder, KIND)
    thresholds, decision = manifest.get("thresholds"), manifest.get("decision")
    return Model(
        folder=folder,
        labels=tuple(manifest["labels"]),
        thresholds=None if thresholds is None else tuple(thresholds),
        decision=None if decision is None else Decision(**decision),
        manifest=manifest,
    )


def signature_outputs(multi_label: bool) -> dict[str, frozenset[str]]:
    """What each signature of a model gives, by name."""
    further = {LABELS} if multi_label else set()
    return {
        name: outputs | further if outputs >= PREDICTION_OUTPUTS else outputs
        for name, outputs in SIGNATURE_OUTPUTS.items()
    }


def labels_separator(labels: Sequence[str]) -> str:
    """What stands between the names in `LABELS`: a space, where none of them holds a space.

    Otherwise a `|` or, where one holds that too, a line break, which ends a name in `labels.txt`.

    Args:
        labels: All the labels that the model knows.

    >>> labels_separator(["rose", "tulip"]), labels_separator(["red rose", "tulip"])
    (' ', '|')
    """
    fit = (text for text in _SEPARATORS if not any(text in label for label in labels))
    return next(fit, "\n")


def split_labels(text: str, labels: Sequence[str]) -> list[str]:
    """The names in an answer's `LABELS`.

    Args:
        text: The answer, which is empty where no label is over its threshold.
        labels: All the labels that the model knows.
    """
    return text.split(labels_separator(labels)) if text else []
