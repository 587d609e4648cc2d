"""Pixel statistics of the training split: exact by photograph, tf.transform's over them all."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform as tft
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public import tfxio

from darkroom.artifacts import transformed
from darkroom.artifacts.saved_model import load_saved_model

_INPUTS = (IMAGE_MEAN, IMAGE_VARIANCE) = ("image_mean", "image_variance")

Array = npt.NDArray[Any]


def image_moments(images: Array) -> tuple[Array, Array]:
    """Mean and variance of each image's pixels by channel.

    Args:
        images: Pixels, uint8 [N, H, W, 3].

    Returns:
        Two arrays, float64 [N, 3].
    """
    count, height, width, channels = images.shape
    # Sums of integers are exact, and down whole rows they are a tenth of the cost of floats.
    rows = images.reshape(count, height, width * channels)
    squares = np.square(rows, dtype=np.uint16)
    total, square_total = (
        values.sum(1, dtype=np.uint32)
        .reshape(count, width, channels)
        .sum(1, dtype=np.uint64)
        .astype(np.float64)
        for values in (rows, squares)
    )
    pixels = height * width
    mean = total / pixels
    return mean, square_total / pixels - mean**2


def moments_batch(mean: Array, variance: Array) -> pa.RecordBatch:
    """A record batch of images' moments, as `adapter_config` describes it."""
    columns = [
        pa.ListArray.from_arrays(
            pa.array(np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)),
            pa.array(values.astype(np.float32).ravel()),
        )
        for values in (mean, variance)
    ]
    return pa.RecordBatch.from_arrays(columns, names=list(_INPUTS))


def adapter_config() -> tfxio.TensorAdapterConfig:
    """Tells tf.transform how the record batches become tensors, float32 [N, 3] each."""
    representations = {}
    for name in _INPUTS:
        representation = schema_pb2.TensorRepresentation()
        representation.dense_tensor.column_name = name
        representation.dense_tensor.shape.dim.add(size=3)
        representations[name] = representation
    schema = pa.schema([(name, pa.list_(pa.float32())) for name in representations])
    return tfxio.TensorAdapterConfig(schema, representations)


def read_moments(folder: Path) -> dict[str, list[float]]:
    """Reads `pixel_mean` and `pixel_variance` out of a fitted `dataset_moments`."""
    fitted = load_saved_model(folder / transformed.TRANSFORM_FUNCTION_FOLDER)
    outputs = fitted.transform_fn({name: tf.zeros([1, 3]) for name in _INPUTS})
    return {name: [float(value) for value in values[0]] for name, values in outputs.items()}


def dataset_moments(inputs: dict[str, Any]) -> dict[str, Any]:
    """The `preprocessing_fn` that gives mean and variance over all images' pixels.

    All images have the same number of pixels, so that the mean of means is the mean, and the
    variance is the mean variance within an image and the variance between their means.
    """
    mean = tft.mean(inputs[IMAGE_MEAN], reduce_instance_dims=False)
    within = tft.mean(inputs[IMAGE_VARIANCE], reduce_instance_dims=False)
    between = tft.var(inputs[IMAGE_MEAN], reduce_instance_dims=False)
    zeros = inputs[IMAGE_MEAN] * 0
    return {
        transformed.PIXEL_MEAN: zeros + mean,
        transformed.PIXEL_VARIANCE: zeros + within + between,
    }
