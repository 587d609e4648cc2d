"""Record batches in and out of the transform: tfx-bsl reads them, compact records leave."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx_bsl.public import tfxio

from components.artifacts import transformed
from components.artifacts.example_proto import serialized_example
from components.artifacts.examples import Examples

BATCH_SIZE = 64
"""Images a record batch: enough to pay for a graph call, few enough to stay small in memory."""


def read_batches(pipeline: beam.Pipeline, source: Examples, split: str) -> tuple[Any, Any]:
    """Reads a split's `image_bytes` and `label` as Arrow record batches.

    Returns:
        The batches, and the adapter configuration that tells tf.transform how to read them.
    """
    reader = tfxio.TFExampleRecord(
        file_pattern=[source.pattern(split)],
        schema=_schema(),
        telemetry_descriptors=["darkroom", "transform"],
    )
    batches = pipeline | f"Read {split}" >> reader.BeamSource(batch_size=BATCH_SIZE)
    return batches, reader.TensorAdapterConfig()


def _schema() -> schema_pb2.Schema:
    schema = schema_pb2.Schema()
    for name in transformed.GRAPH_INPUTS:
        feature = schema.feature.add(name=name, type=schema_pb2.BYTES)
        feature.presence.min_fraction = 1
        # A shape without dimensions: one value an example, so a dense tensor [N].
        feature.shape.SetInParent()
    return schema


class WriteRecords(beam.PTransform):  # type: ignore[misc]
    """Writes a split's transformed record batches as TFRecord shards."""

    def __init__(self, folder: Path, split: str) -> None:
        super().__init__()
        self._prefix = str(folder / split)

    def expand(self, batches: Any) -> Any:
        """Takes the batches that `TransformDataset(output_record_batches=True)` gives."""
        return (
            batches
            | "Encode" >> beam.FlatMap(encoded_records)
            | "Write" >> beam.io.WriteToTFRecord(self._prefix, file_name_suffix=".tfrecord")
        )


def encoded_records(batch: tuple[pa.RecordBatch, Any]) -> Iterator[bytes]:
    """Serialized examples of a transformed batch: pixels as raw bytes, and the label's index."""
    record_batch, _ = batch
    images = record_batch.column(transformed.IMAGE).flatten()
    indices = record_batch.column(transformed.LABEL_INDEX).flatten()
    for image, index in zip(images, indices, strict=True):
        yield serialized_example(
            {transformed.IMAGE: image.as_py(), transformed.LABEL_INDEX: index.as_py()}
        )
