"""The transform step: examples to a transform graph and ready-to-train examples."""

import logging
from pathlib import Path
from typing import Any

from components.artifacts import transformed
from components.artifacts.examples import SPLITS, Examples, read_examples
from components.artifacts.manifest import write_manifest, written_aside
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
        StepError: The examples are missing or not whole.
    """
    source = read_examples(examples)
    with written_aside(transform_graph) as graph, written_aside(transformed_examples) as records:
        _run_pipeline(source, settings, graph, records)
        moments = _pixel_moments(graph)
        height, width = settings.size
        facts = {
            "image_size": [height, width],
            "labels": list(source.labels),
            "settings": settings.model_dump(mode="json"),
        }
        _log.info("%s images at %d x %d pixels", f"{sum(source.counts.values()):,}", height, width)
        write_manifest(graph, transformed.GRAPH_KIND, facts | moments)
        write_manifest(records, transformed.EXAMPLES_KIND, facts | {"counts": source.counts})
    return moments


def _run_pipeline(
    source: Examples, settings: TransformSettings, graph: Path, records: Path
) -> None:
    import tempfile

    import apache_beam as beam
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.artifacts.beam_options import beam_arguments
    from components.transform.preprocessing import preprocessing_function
    from components.transform.records import WriteRecords, read_batches

    options = PipelineOptions(beam_arguments(settings.beam_options))
    with tempfile.TemporaryDirectory(dir=graph) as temporary:
        preprocess = preprocessing_function(settings, source.labels)
        with beam.Pipeline(options=options) as pipeline, tft_beam.Context(temporary):
            batches = {split: read_batches(pipeline, source, split) for split in SPLITS}
            fitted = batches["train"] | "Analyze" >> tft_beam.AnalyzeDataset(preprocess)
            _ = fitted | "Write graph" >> tft_beam.WriteTransformFn(str(graph))
            for split in SPLITS:
                applied, _ = (
                    batches[split],
                    fitted,
                ) | f"Transform {split}" >> tft_beam.TransformDataset(output_record_batches=True)
                _ = applied | f"Write {split}" >> WriteRecords(records, split)


def _pixel_moments(graph: Path) -> dict[str, Any]:
    """Reads the fitted moments out of the graph by calling it on one grey pixel."""
    import tensorflow as tf

    loaded = tf.saved_model.load(str(graph / transformed.TRANSFORM_FUNCTION_FOLDER))
    pixel = tf.io.encode_png(tf.zeros([1, 1, 3], tf.uint8))[tf.newaxis]
    inputs = dict(zip(transformed.GRAPH_INPUTS, (pixel, tf.constant([""])), strict=True))
    outputs = loaded.transform_fn(inputs)
    return {
        name: [float(value) for value in outputs[name][0]]
        for name in (transformed.PIXEL_MEAN, transformed.PIXEL_VARIANCE)
    }
