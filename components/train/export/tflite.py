"""TensorFlow Lite: float, int8 calibrated on training photographs, and whole numbers only."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from components.train.data.batches import WorkerShard, training_stream
from components.train.export import Images
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph

CALIBRATION_IMAGES = 200
FLOAT_OPERATIONS = ("DEPTHWISE_CONV_2D",)
"""Operations for which 8 bits are too few: on 368 flowers, MobileNetV2 at alpha 0.35 shared the
SavedModel's label for 98.6 % with these in float and for 96.7 % without (fine-tuned), or for 95.7
and 95.1 % (two epochs of the head alone); the file is 1.5 % larger. An integer-only accelerator has
to leave them to the CPU."""


def float_content(network: Any, image_size: tuple[int, int]) -> bytes:
    """Converts a network.

    Its signature `serving_default` takes `image`, uint8 [1, H, W, 3], and gives `probabilities`,
    float32 [1, K].

    Args:
        network: keras.Model as `components.train.export.saved_model.export` takes it.
        image_size: Height and width.

    Returns:
        The file's content.
    """
    content: bytes = _converter(network, image_size).convert()
    return content


def int8_content(network: Any, image_size: tuple[int, int], calibration: Images) -> bytes:
    """Converts a network to weights and activations of 8 bits, with the same signature.

    Operations without an 8-bit version stay float, and so do `FLOAT_OPERATIONS`.

    Args:
        network: keras.Model as `components.train.export.saved_model.export` takes it.
        image_size: Height and width.
        calibration: Training photographs, uint8 [N, H, W, 3], that show the range of every
            activation.

    Returns:
        The file's content.
    """
    import tensorflow as tf

    def representative() -> Iterator[list[Any]]:
        return _one_by_one(calibration)

    converter = _converter(network, image_size)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = representative
    # The debugger is TensorFlow's only way to exclude operations; nothing is debugged.
    options = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=list(FLOAT_OPERATIONS))
    quantizer = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=representative, debug_options=options
    )
    content: bytes = quantizer.get_nondebug_quantized_model()
    return content


def integer_content(network: Any, image_size: tuple[int, int], calibration: Images) -> bytes:
    """Converts a network to whole numbers of 8 bits only, as accelerators like the Edge TPU need.

    Its signature `serving_default` takes `image`, uint8 [1, H, W, 3], pixels as they are, and gives
    `probabilities`, uint8 [1, K], with the scale that the file states: 1/256.

    Args:
        network: keras.Model as `components.train.export.saved_model.export` takes it.
        image_size: Height and width.
        calibration: Training photographs as `int8_content` takes them.

    Returns:
        The file's content.

    Raises:
        ValueError: The network has operators for which there is no version of whole numbers.
    """
    import tensorflow as tf

    pixels = calibration.astype(np.float32)
    # So that a pixel's value and the whole number that stands for it are the same.
    pixels[0, 0, 0] = 0, 255, 0
    converter = _converter(network, image_size, tf.float32)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: _one_by_one(pixels)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    content: bytes = converter.convert()
    if operators := float_operators(content):
        raise ValueError(f"{', '.join(operators)} stay in float")
    return content


def float_operators(content: bytes) -> list[str]:
    """The names of a file's operators that take or give floats, sorted."""
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items()}
    floats = {schema.TensorType.FLOAT16, schema.TensorType.FLOAT32, schema.TensorType.FLOAT64}
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    found = set()
    for graph in model.subgraphs:
        for operator in graph.operators:
            tensors = [graph.tensors[place] for place in (*operator.inputs, *operator.outputs)]
            if any(tensor.type in floats for tensor in tensors):
                found.add(names[model.operatorCodes[operator.opcodeIndex].builtinCode])
    return sorted(found)


def _one_by_one(images: Any) -> Iterator[list[Any]]:
    for number in range(len(images)):
        yield [images[number : number + 1]]


def calibration_images(source: TransformedExamples, graph: TransformGraph, seed: int) -> Images:
    """Samples training photographs at random, cropped but not augmented.

    Args:
        source: Transformed examples that hold pixels.
        graph: The graph that gave them.
        seed: Seed of the draw.

    Returns:
        uint8 [N, H, W, 3].
    """
    count = min(CALIBRATION_IMAGES, source.counts["train"])
    stream = training_stream(source, graph, WorkerShard(count), seed)
    images, _ = next(stream.as_numpy_iterator())
    return np.asarray(images, np.uint8)


def _converter(network: Any, image_size: tuple[int, int], pixels: Any = None) -> Any:
    import tensorflow as tf

    # Pixels, as TensorFlow Lite cannot decode JPEG; one image, as a variable batch size adds
    # operations and rules out faster ones.
    image = tf.TensorSpec([1, *image_size, 3], pixels or tf.uint8, name="image")

    def predict(image: Any) -> dict[str, Any]:
        _, probabilities = network(tf.cast(image, tf.float32), training=False)
        return {"probabilities": probabilities}

    module = tf.Module()
    # As TensorFlow variables: those of a Keras model would not be folded into constants.
    module.variables_of_network = [variable.value for variable in network.variables]
    module.predict = tf.function(predict, input_signature=[image])
    function = module.predict.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([function], module)
