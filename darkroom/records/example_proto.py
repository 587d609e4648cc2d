"""`tf.train.Example` without TensorFlow, whose import would cost ingestion 6 s and 600 MB.

The messages are declared from TensorFlow's public `example.proto` and `feature.proto`, in a
descriptor pool of their own, so that they never clash with TensorFlow's where both are loaded.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FeatureValue = bytes | str | int | float | Sequence[bytes | str | int | float]

_FIELD = descriptor_pb2.FieldDescriptorProto


def serialized_example(features: Mapping[str, FeatureValue]) -> bytes:
    """Serializes a `tf.train.Example`; equal features give equal bytes.

    Args:
        features: Value or list of values by name. Text and bytes become a `bytes_list`, integers
            an `int64_list`, other numbers a `float_list`.

    >>> serialized_example({"a": 1}).hex()
    '0a0c0a0a0a016112051a030a0101'
    """
    example = _message_classes()["tensorflow.Example"]()
    for name in sorted(features):
        value = features[name]
        values = [value] if isinstance(value, bytes | str | int | float) else list(value)
        feature = example.features.feature[name]
        if all(isinstance(item, bytes | str) for item in values):
            encoded = [item.encode() if isinstance(item, str) else item for item in values]
            feature.bytes_list.value.extend(encoded)
        elif all(isinstance(item, int) for item in values):
            feature.int64_list.value.extend(values)
        else:
            feature.float_list.value.extend(values)
    serialized: bytes = example.SerializeToString(deterministic=True)
    return serialized


def parsed_example(serialized: bytes) -> dict[str, list[Any]]:
    """Parses a serialized `tf.train.Example` into lists of `bytes`, `int` or `float` by name."""
    example = _message_classes()["tensorflow.Example"].FromString(serialized)
    features = example.features.feature
    return {name: list(_values(feature)) for name, feature in features.items()}


def _values(feature: Any) -> Any:
    kind = feature.WhichOneof("kind")
    return getattr(feature, kind).value if kind else ()


@functools.cache
def _message_classes() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="example.proto", package="tensorflow", syntax="proto3"
    )
    for name, kind in (
        ("BytesList", _FIELD.TYPE_BYTES),
        ("FloatList", _FIELD.TYPE_FLOAT),
        ("Int64List", _FIELD.TYPE_INT64),
    ):
        message = file.message_type.add(name=name)
        message.field.add(name="value", number=1, label=_FIELD.LABEL_REPEATED, type=kind)
    _add_feature(file.message_type.add(name="Feature"))
    _add_features(file.message_type.add(name="Features"))
    example = file.message_type.add(name="Example")
    _add_message_field(example, "features", 1, "Features")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return dict(message_factory.GetMessageClassesForFiles(["example.proto"], pool))


def _add_feature(feature: Any) -> None:
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("bytes_list", "float_list", "int64_list"), start=1):
        type_name = "".join(part.capitalize() for part in name.split("_"))
        _add_message_field(feature, name, number, type_name).oneof_index = 0


def _add_features(features: Any) -> None:
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=_FIELD.LABEL_OPTIONAL, type=_FIELD.TYPE_STRING)
    _add_message_field(entry, "value", 2, "Feature")
    field = _add_message_field(features, "feature", 1, "Features.FeatureEntry")
    field.label = _FIELD.LABEL_REPEATED


def _add_message_field(message: Any, name: str, number: int, type_name: str) -> Any:
    return message.field.add(
        name=name,
        number=number,
        label=_FIELD.LABEL_OPTIONAL,
        type=_FIELD.TYPE_MESSAGE,
        type_name=f".tensorflow.{type_name}",
    )
