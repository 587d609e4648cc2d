"""The textbook way into TFRecords: Beam, an element a photograph, decoded to float32, gzipped.

Usage: python benchmarks/peers/textbook.py PHOTOGRAPHS OUT [--tensor]

As tutorials have it: read and decode with TensorFlow, scale to [0, 1], put the floats into a
`tf.train.Example`, compress. On Beam's runner in memory, which is what `DirectRunner` comes to.
With `--tensor` the floats are stored as one serialized tensor, the kinder way: a list of floats
takes some 35 ms a photograph to fill.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions

RUNNER = "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"


class DecodeImage(beam.DoFn):
    """Reads and decodes one photograph."""

    def process(self, row: tuple[str, str]) -> Iterator[dict[str, object]]:
        """Yields the pixels as float32 [H, W, 3] in 0 to 1, and the label."""
        label, path = row
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        yield {
            "image": tf.image.convert_image_dtype(image, tf.float32).numpy(),
            "label": label,
            "path": path,
        }


def to_example(element: dict[str, Any], as_tensor: bool) -> bytes:
    """A serialized `tf.train.Example` of floats."""
    image = element["image"]
    height, width, _ = image.shape
    feature = {
        "image": tensor_feature(image) if as_tensor else floats_feature(image),
        "height": tf.train.Feature(int64_list=tf.train.Int64List(value=[height])),
        "width": tf.train.Feature(int64_list=tf.train.Int64List(value=[width])),
        "label": bytes_feature(element["label"]),
        "path": bytes_feature(element["path"]),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def floats_feature(image: np.ndarray) -> tf.train.Feature:
    """A Feature that holds the pixels as a list of floats."""
    return tf.train.Feature(float_list=tf.train.FloatList(value=image.ravel()))


def tensor_feature(image: np.ndarray) -> tf.train.Feature:
    """A Feature that holds the pixels as one serialized tensor."""
    serialized = tf.io.serialize_tensor(image).numpy()
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[serialized]))


def bytes_feature(value: str) -> tf.train.Feature:
    """A Feature that holds one text."""
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))


def main(photographs: str, out: str, as_tensor: bool) -> None:
    """Writes gzipped TFRecords."""
    rows = [(file.parent.name, str(file)) for file in sorted(Path(photographs).glob("*/*.jpg"))]
    with beam.Pipeline(options=PipelineOptions([RUNNER])) as pipeline:
        _ = (
            pipeline
            | beam.Create(rows)
            | beam.Reshuffle()
            | beam.ParDo(DecodeImage())
            | beam.Map(to_example, as_tensor)
            | beam.io.WriteToTFRecord(f"{out}/examples", file_name_suffix=".tfrecord.gz")
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--tensor" in sys.argv[3:])
