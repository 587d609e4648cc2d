"""Records of transformed examples parsed: labels as vectors (one-hot, or multi-hot), embeddings."""

from collections.abc import Callable, Mapping
from typing import Any

from darkroom.artifacts.transformed import EMBEDDING, LABEL_INDEX, TransformGraph


def label_features(graph: TransformGraph) -> dict[str, Any]:
    """How to parse a record's label, for `tf.io.parse_example`.

    Args:
        graph: Says whether photographs have several.
    """
    import tensorflow as tf

    several = graph.multi_label
    return {
        LABEL_INDEX: tf.io.VarLenFeature(tf.int64)
        if several
        else tf.io.FixedLenFeature([], tf.int64)
    }


def label_vectors(parsed: Mapping[str, Any], graph: TransformGraph) -> Any:
    """The labels of a batch, float32 [N, K].

    Args:
        parsed: The batch, parsed with `label_features`.
        graph: States the labels.
    """
    import tensorflow as tf

    indices, count = parsed[LABEL_INDEX], len(graph.labels)
    if not graph.multi_label:
        return tf.one_hot(indices, count)
    return tf.cast(tf.sparse.to_indicator(indices, count), tf.float32)


def embeddings_parser(size: int, graph: TransformGraph) -> Callable[[Any], tuple[Any, Any]]:
    """Gives what parses a batch of records.

    Args:
        size: Values an embedding.
        graph: States the labels.

    Returns:
        A function from serialized records, string [N], to (embeddings float32 [N, size], labels
        float32 [N, K]).
    """
    import tensorflow as tf

    features = {EMBEDDING: tf.io.FixedLenFeature([], tf.string)} | label_features(graph)

    def parse(records: Any) -> tuple[Any, Any]:
        parsed = tf.io.parse_example(records, features)
        values = tf.cast(tf.io.decode_raw(parsed[EMBEDDING], tf.float16), tf.float32)
        embeddings = tf.reshape(values, [records.shape[0], size])
        return embeddings, label_vectors(parsed, graph)

    return parse
