"""The export: a SavedModel with the public signatures and the transform graph in it."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.train.model.network import WEIGHTS, Network
from darkroom.artifacts import model as model_format
from darkroom.artifacts.examples import IMAGE_BYTES, IMAGE_ID, LABEL
from darkroom.artifacts.saved_model import load_saved_model
from darkroom.artifacts.transformed import IMAGE, TransformGraph

_log = logging.getLogger("darkroom.train")

Signature = Callable[..., dict[str, Any]]
Thresholds = Sequence[float] | None


class Rule(NamedTuple):
    """Which labels follow from probabilities; without either, the most probable one.

    Attributes:
        thresholds: Of a multi-label model, by label.
        decision: Of a model of two labels with a positive one.
    """

    thresholds: Thresholds = None
    decision: model_format.Decision | None = None


def export(
    network: Network,
    graph: TransformGraph,
    folder: Path,
    rule: Rule = Rule(),  # noqa: B008
) -> None:
    """Writes a SavedModel that loads with plain TensorFlow.

    Args:
        network: The network.
        graph: The transform graph, which becomes part of the model.
        folder: The SavedModel's folder.
        rule: Which labels follow from probabilities.
    """
    import tensorflow as tf

    module = tf.Module()
    # Everything that a signature uses must be an attribute of the module to be saved with it.
    module.transform_graph = load_saved_model(graph.function_folder)
    # Without the seeds of dropout, so that a warm start finds the weights in their order.
    weights = network.embedding.weights
    setattr(module, WEIGHTS, [variable.value for variable in weights])
    known = {id(variable) for variable in weights}
    module.seeds = [v.value for v in network.embedding.variables if id(v) not in known]
    transform = module.transform_graph.transform_fn
    signatures = _signatures(transform, network, graph, rule)
    tf.saved_model.save(module, str(folder), signatures=signatures)
    labels = "".join(f"{label}\n" for label in graph.labels)
    (folder / model_format.LABELS_FILE).write_text(labels, encoding="utf-8")


def _signatures(
    transform: Callable[[dict[str, Any]], dict[str, Any]],
    network: Network,
    graph: TransformGraph,
    rule: Rule,
) -> dict[str, Any]:
    """The signatures by name; each fails on a batch in which an image cannot be decoded."""
    import tensorflow as tf

    height, width = graph.image_size
    text = tf.TensorSpec([None], tf.string)
    images = tf.TensorSpec([None, height, width, 3], tf.float32)

    def pixels(image_bytes: Any) -> Any:
        no_label = tf.fill(tf.shape(image_bytes), "")
        transformed = transform({IMAGE_BYTES: image_bytes, LABEL: no_label})
        flat = tf.io.decode_raw(transformed[IMAGE], tf.uint8)
        return tf.cast(tf.reshape(flat, [-1, height, width, 3]), tf.float32)

    def predict(input_images: Any) -> dict[str, Any]:
        _, probabilities = network.embedding(input_images, training=False)
        return _prediction(probabilities, graph.labels, rule)

    def serving_default(image_bytes: Any) -> dict[str, Any]:
        return predict(pixels(image_bytes))

    def from_filenames(filenames: Any) -> dict[str, Any]:
        contents = tf.map_fn(tf.io.read_file, filenames)
        return predict(pixels(contents)) | {"filenames": tf.identity(filenames)}

    def from_examples(examples: Any) -> dict[str, Any]:
        features = {
            IMAGE_BYTES: tf.io.FixedLenFeature([], tf.string),
            IMAGE_ID: tf.io.FixedLenFeature([], tf.string, default_value=""),
        }
        parsed = tf.io.parse_example(examples, features)
        return predict(pixels(parsed[IMAGE_BYTES])) | {"image_id": parsed[IMAGE_ID]}

    def with_key(image_bytes: Any, key: Any) -> dict[str, Any]:
        return predict(pixels(image_bytes)) | {"key": tf.identity(key)}

    def embedding(image_bytes: Any) -> dict[str, Any]:
        return {"embedding": network.embedding(pixels(image_bytes), training=False)[0]}

    def with_embedding(image_bytes: Any) -> dict[str, Any]:
        embedding, probabilities = network.embedding(pixels(image_bytes), training=False)
        return _prediction(probabilities, graph.labels, rule) | {"embedding": embedding}

    def xai_preprocess(image_bytes: Any) -> dict[str, Any]:
        return {"input_images": pixels(image_bytes)}

    def xai_model(input_images: Any) -> dict[str, Any]:
        return predict(input_images)

    arguments: dict[str, tuple[Signature, dict[str, Any]]] = {
        model_format.SERVING_DEFAULT: (serving_default, {"image_bytes": text}),
        model_format.FROM_FILENAMES: (from_filenames, {"filenames": text}),
        model_format.FROM_EXAMPLES: (from_examples, {"examples": text}),
        model_format.WITH_KEY: (with_key, {"image_bytes": text, "key": text}),
        model_format.EMBEDDING: (embedding, {"image_bytes": text}),
        model_format.WITH_EMBEDDING: (with_embedding, {"image_bytes": text}),
        model_format.XAI_PREPROCESS: (xai_preprocess, {"image_bytes": text}),
        model_format.XAI_MODEL: (xai_model, {"input_images": images}),
    }
    if network.parts is not None:
        to_features, head = network.parts

        def xai_features(input_images: Any) -> dict[str, Any]:
            return {model_format.FEATURES: to_features(input_images, training=False)}

        def xai_head(features: Any) -> dict[str, Any]:
            return _prediction(head(features, training=False), graph.labels, rule)

        map_of = tf.TensorSpec(head.inputs[0].shape, head.inputs[0].dtype)
        arguments[model_format.XAI_FEATURES] = xai_features, {"input_images": images}
        arguments[model_format.XAI_HEAD] = xai_head, {model_format.FEATURES: map_of}
    return {
        name: tf.function(function).get_concrete_function(**specifications)
        for name, (function, specifications) in arguments.items()
    }


def _prediction(probabilities: Any, labels: tuple[str, ...], rule: Rule) -> dict[str, Any]:
    import tensorflow as tf

    label_index = _label_index(probabilities, labels, rule.decision)
    prediction = {
        "label": tf.gather(tf.constant(labels), label_index),
        "label_index": label_index,
        "probability": tf.gather(probabilities, label_index, batch_dims=1),
        "probabilities": probabilities,
    }
    if rule.thresholds is None:
        return prediction
    return prediction | {
        model_format.LABELS: _over_thresholds(probabilities, labels, rule.thresholds),
    }


def _label_index(
    probabilities: Any, labels: tuple[str, ...], decision: model_format.Decision | None
) -> Any:
    """The place of the label that an image is given, int64 [N]."""
    import tensorflow as tf

    if decision is None:
        return tf.argmax(probabilities, axis=1, output_type=tf.int64)
    positive = labels.index(decision.positive_label)
    is_positive = probabilities[:, positive] >= tf.constant(decision.threshold, tf.float32)
    places = tf.constant([1 - positive, positive], tf.int64)
    return tf.gather(places, tf.cast(is_positive, tf.int64))


def _over_thresholds(
    probabilities: Any, labels: tuple[str, ...], thresholds: Sequence[float]
) -> Any:
    """The labels over their thresholds, joined to one string per image, string [N]."""
    import tensorflow as tf

    hits = tf.where(probabilities >= tf.constant(thresholds, tf.float32))
    return tf.strings.unsorted_segment_join(
        tf.gather(tf.constant(labels), hits[:, 1]),
        hits[:, 0],
        tf.shape(probabilities)[0],
        model_format.labels_separator(labels),
    )
