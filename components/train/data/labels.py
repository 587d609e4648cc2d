"""Labels of transformed examples as vectors: one-hot, or multi-hot."""

from collections.abc import Mapping
from typing import Any

from darkroom.artifacts.transformed import LABEL_INDEX, TransformGraph


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
