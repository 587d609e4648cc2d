"""A SavedModel in memory, loaded with plain TensorFlow."""

import dataclasses
from pathlib import Path
from typing import Any

from components.serve.calls.signature_call import input_specs
from components.serve.errors import RequestError
from components.serve.versions.model_directory import LocalFiles
from darkroom.artifacts.model import IMAGE_BYTES, LABELS_FILE, SERVING_DEFAULT
from darkroom.artifacts.model_repository import GRAPH_FILE, Version
from darkroom.artifacts.saved_model import load_saved_model
from darkroom.runtime.idle_threads import let_idle_threads_sleep
from darkroom.settings import nearest


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A version that is ready to answer.

    Attributes:
        version: What was loaded.
        signatures: Its TensorFlow functions by signature name.
        signature_defs: The signatures as `saved_model.pb` describes them, in protobuf's JSON form.
        labels: The labels in the order of `probabilities`; none where the model does not say them.
        saved_model: The SavedModel object, which owns the variables that the signatures use.
        files: Its files, which stay as long as it does.
    """

    version: Version
    signatures: dict[str, Any]
    signature_defs: dict[str, Any]
    labels: tuple[str, ...]
    saved_model: Any
    files: LocalFiles

    def signature(self, name: str) -> Any:
        """The signature of that name.

        Raises:
            RequestError: The model has no such signature.
        """
        if name not in self.signatures:
            raise RequestError(f"unknown signature '{name}'{nearest(name, self.signatures)}")
        return self.signatures[name]


def load_model(version: Version, public_key: str | None = None) -> LoadedModel:
    """Loads a version and calls it once, so that no request waits for the first call.

    Args:
        version: The version.
        public_key: File of the key that must have signed it, if any must.

    Raises:
        StepError: Its files cannot be read, or are not those that were pushed.
        Exception: Whatever TensorFlow raises for a SavedModel that is broken, or that cannot
            classify an image.
    """
    files = LocalFiles(version)
    files.check(public_key)
    let_idle_threads_sleep()
    saved_model = load_saved_model(files.folder)
    signatures = dict(saved_model.signatures)
    if not signatures:
        raise ValueError("the SavedModel has no signatures")
    definitions = _signature_defs(files.folder)
    labels = _labels(files.folder)
    model = LoadedModel(version, signatures, definitions, labels, saved_model, files)
    _warm_up(model)
    return model


def _warm_up(model: LoadedModel) -> None:
    import tensorflow as tf

    signature = model.signatures.get(SERVING_DEFAULT)
    if signature is not None and list(input_specs(signature)) == [IMAGE_BYTES]:
        image = tf.io.encode_jpeg(tf.zeros([32, 32, 3], tf.uint8))
        signature(image_bytes=image[tf.newaxis])


def _labels(folder: Path) -> tuple[str, ...]:
    """The labels beside a SavedModel, which another trainer's need not have."""
    file = folder / LABELS_FILE
    if not file.is_file():
        return ()
    return tuple(file.read_text(encoding="utf-8").removesuffix("\n").split("\n"))


def _signature_defs(folder: Path) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict
    from tensorflow.core.protobuf import saved_model_pb2

    graph = (folder / GRAPH_FILE).read_bytes()
    saved_model = saved_model_pb2.SavedModel.FromString(graph)
    signature_defs = saved_model.meta_graphs[0].signature_def
    return {
        name: MessageToDict(
            signature_defs[name],
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for name in sorted(signature_defs)
    }
