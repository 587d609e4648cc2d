"""The transform graph and the transformed examples: names of their features, what they hold."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from darkroom.artifacts.data_root import RECORDS
from darkroom.artifacts.examples import IMAGE_BYTES, LABEL, PSEUDO_LABELLED
from darkroom.artifacts.manifest import read_manifest
from darkroom.backbones.weights import IMAGENET, RANDOM
from darkroom.errors import SettingsError
from darkroom.records.shards import list_shards

GRAPH_KIND = "transform_graph"
EXAMPLES_KIND = "transformed_examples"

TRANSFORM_FUNCTION_FOLDER = "transform_fn"
"""The SavedModel within the transform graph, as tf.transform names it."""

GRAPH_INPUTS = (IMAGE_BYTES, LABEL)
"""What the graph takes; without a label at hand, as in serving, an empty string stands for it."""

IMAGE = "image"
"""Pixels: the H * W * 3 bytes of a uint8 image, row by row; for `tf.io.decode_raw`."""
EMBEDDING = "embedding"
"""In place of pixels: the 2 * D bytes of a float16 vector, little-endian; for `decode_raw`."""
LABEL_INDEX = "label_index"
"""Place of the label in the label list; of each label, where photographs have several."""
PIXEL_MEAN = "pixel_mean"
PIXEL_VARIANCE = "pixel_variance"


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How a decoded photograph becomes the network's pixels, for who does it without TensorFlow.

    Attributes:
        image_size: Height and width of what is left when the centre is cut out.
        resized_to: Height and width before that, which are larger by the crop margin.
        resize: `stretch`, `pad` or `crop`.
        interpolation: `nearest`, `bilinear`, `bicubic`, `area` or `lanczos3`.
    """

    image_size: tuple[int, int]
    resized_to: tuple[int, int]
    resize: str
    interpolation: str


@dataclasses.dataclass(frozen=True)
class TransformGraph:
    """A transform graph that is complete.

    Attributes:
        folder: Its folder.
        labels: The sorted labels.
        image_size: Height and width of the pixels it gives.
        pixel_mean: Mean of the training split's pixels by channel, 0 to 255.
        pixel_variance: Their variance.
        multi_label: Whether photographs may have several labels.
        preprocessing: What it does to a decoded photograph; None in one of an older release.
    """

    folder: Path
    labels: tuple[str, ...]
    image_size: tuple[int, int]
    pixel_mean: tuple[float, float, float]
    pixel_variance: tuple[float, float, float]
    multi_label: bool = False
    preprocessing: Preprocessing | None = None

    @property
    def function_folder(self) -> Path:
        """The SavedModel to load with `tf.saved_model.load` and call as `.transform_fn`."""
        return self.folder / TRANSFORM_FUNCTION_FOLDER


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """The frozen backbone whose embeddings stand in place of pixels.

    Attributes:
        backbone: Its name.
        alpha: Its width multiplier; None is the network's own default.
        weights_digest: SHA-256 of its weights file, or `imagenet`.
        size: Values an embedding.
    """

    backbone: str
    alpha: float | None
    weights_digest: str
    size: int


@dataclasses.dataclass(frozen=True)
class TransformedExamples:
    """Transformed examples that are whole.

    Attributes:
        folder: Where they stand.
        counts: Number of records by split.
        stored_size: Height and width in pixels of a split's records; those of training
            photographs may be larger than the graph's, for the trainer to crop at random. Empty
            where records hold embeddings.
        embeddings: What the records hold instead of pixels; None where they hold pixels.
        manifest: The whole manifest.
        pseudo_labelled: Number of training records whose label a model gave.
    """

    folder: Path
    counts: dict[str, int]
    stored_size: dict[str, tuple[int, int]]
    embeddings: Embeddings | None
    manifest: dict[str, Any]
    pseudo_labelled: int = 0

    def record_bytes(self, split: str) -> int:
        """Bytes of the pixels, or of the embedding, of each of a split's records."""
        if self.embeddings is not None:
            return self.embeddings.size * 2
        height, width = self.stored_size[split]
        return height * width * 3

    @property
    def records(self) -> str:
        """Path or URI of the folder of the shards."""
        return str(self.manifest.get(RECORDS, self.folder))

    def shards(self, split: str) -> list[str]:
        """Paths or URIs of the TFRecord files of a split, in order."""
        return [shard.location for shard in list_shards(self.records, split)]


def read_transform_graph(folder: Path) -> TransformGraph:
    """Reads a transform graph's manifest.

    Raises:
        StepError: The artifact is missing or not complete.
    """
    manifest = read_manifest(folder, GRAPH_KIND)
    height, width = manifest["image_size"]
    return TransformGraph(
        folder=folder,
        labels=tuple(manifest["labels"]),
        image_size=(height, width),
        pixel_mean=tuple(manifest["pixel_mean"]),
        pixel_variance=tuple(manifest["pixel_variance"]),
        multi_label=manifest.get("multi_label", False),
        preprocessing=read_preprocessing(manifest),
    )


def read_preprocessing(manifest: dict[str, Any]) -> Preprocessing | None:
    """What the manifest of a transform graph, or of a model with one, says of preprocessing."""
    stated = manifest.get("preprocessing")
    if stated is None:
        return None
    sizes = {name: tuple(stated[name]) for name in ("image_size", "resized_to")}
    return Preprocessing(**(stated | sizes))


def read_transformed_examples(folder: Path) -> TransformedExamples:
    """Reads the manifest of transformed examples.

    Raises:
        StepError: The artifact is missing or not complete.
    """
    manifest = read_manifest(folder, EXAMPLES_KIND)
    sizes = manifest["stored_size"].items()
    embeddings = manifest.get("embeddings")
    return TransformedExamples(
        folder=folder,
        counts=manifest["counts"],
        stored_size={split: (height, width) for split, (height, width) in sizes},
        embeddings=Embeddings(**embeddings) if embeddings else None,
        manifest=manifest,
        pseudo_labelled=manifest.get(PSEUDO_LABELLED, 0),
    )


def weights_digest(weights: str) -> str:
    """What `Embeddings.weights_digest` states of a setting `weights`.

    Raises:
        SettingsError: The file does not exist.
    """
    if weights in (IMAGENET, RANDOM):
        return weights
    try:
        with Path(weights).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SettingsError(f"cannot read the weights file {weights}: {error.strerror}") from None
