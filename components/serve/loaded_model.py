"""A SavedModel in memory, loaded with plain TensorFlow."""

import dataclasses
from typing import Any

from components.serve.errors import RequestError
from darkroom.artifacts.model import IMAGE_BYTES, SERVING_DEFAULT
from darkroom.artifacts.model_repository import Version
from darkroom.artifacts.saved_model import load_saved_model
from darkroom.settings import nearest


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A version that is ready to answer.

    Attributes:
        version: What was loaded.
        signatures: Its TensorFlow functions by signature name.
        signature_defs: The signatures as `saved_model.pb` describes them, in protobuf's JSON form.
        saved_model: The SavedModel object, which owns the variables that the signatures use.
    """

    version: Version
    signatures: dict[str, Any]
    signature_defs: dict[str, Any]
    saved_model: Any

    def signature(self, name: str) -> Any:
        """The signature of that name.

        Raises:
            RequestError: The model has no such signature.
        """
        if name not in self.signatures:
            raise RequestError(f"unknown signature '{name}'{nearest(name, self.signatures)}")
        return self.signatures[name]


def load_model(version: Version) -> LoadedModel:
    """Loads a version and calls it once, so that no request waits for the first call.

    Raises:
        Exception: Whatever TensorFlow raises for a SavedModel that is broken, or that cannot
            classify an image.
    """
    saved_model = load_saved_model(version.folder)
    signatures = dict(saved_model.signatures)
    if not signatures:
        raise ValueError("the SavedModel has no signatures")
    model = LoadedModel(version, signatures, _signature_defs(version), saved_model)
    _warm_up(model)
    return model


def input_specs(signature: Any) -> dict[str, Any]:
    """The `tf.TensorSpec` of each input of a signature, by name."""
    return dict(signature.structured_input_signature[1])


def _warm_up(model: LoadedModel) -> None:
    import tensorflow as tf

    signature = model.signatures.get(SERVING_DEFAULT)
    if signature is not None and list(input_specs(signature)) == [IMAGE_BYTES]:
        image = tf.io.encode_jpeg(tf.zeros([32, 32, 3], tf.uint8))
        signature(image_bytes=image[tf.newaxis])


def _signature_defs(version: Version) -> dict[str, Any]:
    from google.protobuf.json_format import MessageToDict
    from tensorflow.core.protobuf import saved_model_pb2

    graph_file = version.folder / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(graph_file.read_bytes())
    signature_defs = saved_model.meta_graphs[0].signature_def
    return {
        name: MessageToDict(
            signature_defs[name],
            preserving_proto_field_name=True,
            always_print_fields_with_no_presence=True,
        )
        for name in sorted(signature_defs)
    }
