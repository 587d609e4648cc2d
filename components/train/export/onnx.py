"""ONNX, converted by tf2onnx."""

from typing import Any

OPSET = 18
"""The newest opset that tf2onnx writes; onnxruntime reads it since 1.14."""


def onnx_content(network: Any, image_size: tuple[int, int]) -> bytes:
    """Converts a network.

    The model takes `image`, uint8 [N, H, W, 3], and gives `probabilities`, float32 [N, K].

    Args:
        network: keras.Model as `components.train.export.saved_model.export` takes it.
        image_size: Height and width.

    Returns:
        The file's content.
    """
    import tensorflow as tf
    import tf2onnx

    def predict(image: Any) -> dict[str, Any]:
        _, probabilities = network(tf.cast(image, tf.float32), training=False)
        return {"probabilities": probabilities}

    image = tf.TensorSpec([None, *image_size, 3], tf.uint8, name="image")
    function = tf.function(predict).get_concrete_function(image=image)
    taken, given = function.inputs[0].name, function.outputs[0].name
    # In two steps, since tf2onnx.convert.from_function mistakes a layer's constants, such as the
    # mean of keras.layers.Normalization, for inputs of the model.
    graph = tf2onnx.tf_loader.from_function(function, [taken], [given])
    model, _ = tf2onnx.convert.from_graph_def(
        graph,
        input_names=[taken],
        output_names=[given],
        opset=OPSET,
        tensors_to_rename={taken: "image", given: "probabilities"},
    )
    content: bytes = model.SerializeToString()
    return content
