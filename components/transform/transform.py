"""The transform step: examples to a transform graph and ready-to-train examples."""

import logging
import tempfile
from pathlib import Path
from typing import Any

from components.artifacts import transformed
from components.artifacts.beam_options import beam_arguments
from components.artifacts.errors import StepError
from components.artifacts.examples import SPLITS, Examples, read_examples
from components.artifacts.manifest import write_manifest, written_aside
from components.artifacts.worker_errors import worker_message
from components.transform.settings import TransformSettings

_log = logging.getLogger("darkroom.transform")


def transform(
    examples: Path,
    settings: TransformSettings,
    *,
    transform_graph: Path,
    transformed_examples: Path,
) -> dict[str, Any]:
    """Fits the preprocessing graph on the training split and applies it to every split.

    Args:
        examples: The examples that ingest wrote.
        settings: Image size and how to resize.
        transform_graph: Output: tf.transform's graph, with the labels and pixel statistics.
        transformed_examples: Output: TFRecords of uint8 pixels and label indices.

    Returns:
        The training split's pixel mean and variance by channel.

    Raises:
        StepError: The examples are missing, not whole or damaged, or there is nothing to train on.
    """
    source = read_examples(examples)
    if not source.counts.get("train"):
        raise StepError(f"the train split of {examples} is empty; ingest more photographs")
    with written_aside(transform_graph) as graph, written_aside(transformed_examples) as records:
        with tempfile.TemporaryDirectory(dir=graph) as temporary:
            try:
                moments = _write_pixels(source, settings, records, Path(temporary))
            except Exception as error:
                message = worker_message(error)
                if message is None:
                    raise
                raise StepError(message) from error
            _write_graph(source, settings, moments, graph, temporary)
        facts = {
            "image_size": list(settings.size),
            "labels": list(source.labels),
            "settings": settings.model_dump(mode="json"),
        }
        _log.info("%s images at %d x %d pixels", f"{sum(source.counts.values()):,}", *settings.size)
        write_manifest(graph, transformed.GRAPH_KIND, facts | moments)
        stored = {"counts": source.counts, "stored_size": _stored_size(settings)}
        write_manifest(records, transformed.EXAMPLES_KIND, facts | stored)
    return moments


def _stored_size(settings: TransformSettings) -> dict[str, list[int]]:
    """Height and width of a split's records; training photographs have the crop margin."""
    sizes = {split: list(settings.size) for split in SPLITS}
    return sizes | {"train": list(settings.size_with_margin)}


def _write_pixels(
    source: Examples, settings: TransformSettings, records: Path, temporary: Path
) -> dict[str, list[float]]:
    """Decodes every photograph, once, into the records; returns the training split's moments."""
    import apache_beam as beam
    import pyarrow as pa
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.transform.moments import adapter_config, dataset_moments, read_moments
    from components.transform.pixels import WritePixels, plan_tasks

    options = PipelineOptions(beam_arguments(settings.beam_options))
    fitted = temporary / "moments"
    write = WritePixels(str(records), settings, source.labels)
    with beam.Pipeline(options=options) as pipeline, tft_beam.Context(str(temporary)):
        moments = (
            pipeline
            | "List tasks" >> beam.Create(plan_tasks(source))
            | "Spread tasks" >> beam.Reshuffle()
            | "Write pixels" >> beam.ParDo(write).with_output_types(pa.RecordBatch)
        )
        fitting = (moments, adapter_config()) | "Fit" >> tft_beam.AnalyzeDataset(dataset_moments)
        _ = fitting | "Write moments" >> tft_beam.WriteTransformFn(str(fitted))
    return read_moments(fitted)


def _write_graph(
    source: Examples,
    settings: TransformSettings,
    moments: dict[str, list[float]],
    graph: Path,
    temporary: str,
) -> None:
    """Writes the graph with the moments in it: no data to read, so it is done here at once."""
    import apache_beam as beam
    import pyarrow as pa
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions
    from tfx_bsl.public import tfxio

    from components.transform.preprocessing import graph_input_schema, preprocessing_function

    config = tfxio.TFExampleRecord(
        file_pattern=["none is read"],
        schema=graph_input_schema(),
        telemetry_descriptors=["darkroom", "transform"],
    ).TensorAdapterConfig()
    preprocess = preprocessing_function(settings, source.labels, moments)
    options = PipelineOptions(beam_arguments([]))
    with beam.Pipeline(options=options) as pipeline, tft_beam.Context(temporary):
        nothing = pipeline | beam.Create([]).with_output_types(pa.RecordBatch)
        fitted = (nothing, config) | tft_beam.AnalyzeDataset(preprocess)
        _ = fitted | tft_beam.WriteTransformFn(str(graph))
