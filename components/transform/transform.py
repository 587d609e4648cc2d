"""The transform step: examples to a transform graph and ready-to-train examples."""

import dataclasses
import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from components.transform.settings import EmbeddingsSettings, TransformSettings
from darkroom.artifacts import transformed
from darkroom.artifacts.data_root import RECORDS, records_folder
from darkroom.artifacts.examples import PSEUDO_LABELLED, SPLITS, Examples, read_examples
from darkroom.artifacts.manifest import atomic_artifact, digest_of, write_manifest
from darkroom.artifacts.saved_model import plain_path
from darkroom.beam.options import beam_arguments, runner_name, worker_message
from darkroom.beam.remote import remote_workers, with_staging_location
from darkroom.errors import StepError
from darkroom.records.example_proto import parsed_example
from darkroom.records.shards import list_shards
from darkroom.records.tfrecord import read_records

_log = logging.getLogger("darkroom.transform")

_CANNOT_FIT = ("DaskRunner",)
"""Runners that fail at tf.transform's analyzers."""


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
        transformed_examples: Output: TFRecords of uint8 pixels, or of a backbone's embeddings,
            and label indices.

    Returns:
        The training split's pixel mean and variance by channel.

    Raises:
        SettingsError: The weights file that embeddings need does not exist, or the workers that
            `beam_options` ask for do not reach the step's files.
        StepError: The examples are missing, incomplete or damaged, or hold no training example.
    """
    beam_options = with_staging_location(
        transformed_examples, settings.beam_options, settings.data_root
    )
    settings = settings.model_copy(update={"beam_options": beam_options})
    source = read_examples(examples)
    made_by = _made_by(settings.embeddings) if settings.embeddings else None
    if not source.counts.get("train"):
        raise StepError(f"the train split of {examples} is empty; ingest more photographs")
    with (
        atomic_artifact(transform_graph) as graph,
        atomic_artifact(transformed_examples) as stored,
        records_folder(settings.data_root, transformed.EXAMPLES_KIND, stored) as records,
    ):
        with tempfile.TemporaryDirectory(dir=graph) as temporary:
            try:
                moments, digest = _write_records(source, settings, records, Path(temporary))
            except Exception as error:
                message = worker_message(error)
                if message is None:
                    raise
                raise StepError(message) from error
            _write_graph(source, settings, moments, graph, temporary)
        facts = {
            "image_size": list(settings.size),
            "labels": list(source.labels),
            "multi_label": source.multi_label,
            "settings": settings.model_dump(mode="json"),
        }
        _log.info("%s images at %d x %d pixels", f"{sum(source.counts.values()):,}", *settings.size)
        preprocessing = transformed.Preprocessing(
            settings.size, settings.size_with_margin, settings.resize, settings.interpolation
        )
        stated = facts | {"preprocessing": dataclasses.asdict(preprocessing)}
        write_manifest(graph, transformed.GRAPH_KIND, stated | moments)
        held = {"counts": source.counts, "digest": digest} | _stored(settings, made_by, records)
        held[PSEUDO_LABELLED] = source.pseudo_labelled
        if settings.data_root is not None:
            held[RECORDS] = records
        write_manifest(stored, transformed.EXAMPLES_KIND, facts | held)
    return moments


def _made_by(embeddings: EmbeddingsSettings) -> dict[str, Any]:
    """The backbone, as the manifest states it."""
    return {
        "backbone": embeddings.backbone,
        "alpha": embeddings.alpha,
        "weights_digest": transformed.weights_digest(embeddings.weights),
    }


def _stored(
    settings: TransformSettings, made_by: dict[str, Any] | None, records: str
) -> dict[str, Any]:
    """What the records hold: pixels of some height and width by split, or embeddings."""
    if made_by is None:
        sizes = dict.fromkeys(SPLITS, settings.size)
        return {"stored_size": sizes | {"train": settings.size_with_margin}}
    shard = list_shards(records, "train")[0].location
    (first,) = parsed_example(next(read_records(shard)))[transformed.EMBEDDING]
    return {"stored_size": {}, "embeddings": made_by | {"size": len(first) // 2}}


def _write_records(
    source: Examples, settings: TransformSettings, records: str, temporary: Path
) -> tuple[dict[str, list[float]], str]:
    """Decodes every photograph, once, into the records.

    Returns:
        The training split's moments, and the digest of the shards.
    """
    import apache_beam as beam
    import pyarrow as pa
    import tensorflow_transform.beam as tft_beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from components.transform.moments import adapter_config, dataset_moments, read_moments
    from components.transform.pixels import (
        WriteRecords,
        check_count,
        count_of,
        digest_of_shard,
        moments_of,
        plan_tasks,
        write_digests,
    )

    temporary = plain_path(temporary)
    tasks, fitted, digests = plan_tasks(source), temporary / "moments", temporary / "digests.json"
    write: beam.DoFn = WriteRecords(
        records,
        settings,
        source.labels,
        source.multi_label,
        sum(source.counts.values()),
    )
    beam_options: Sequence[str] = settings.beam_options
    workers = remote_workers(beam_options)
    if workers is not None or runner_name(beam_options) in _CANNOT_FIT:
        from components.transform.remote import ReadWritten, write_on_runner

        write_on_runner(tasks, write, workers, beam_options, temporary)
        # What is left to do is small, and needs no folder that others reach.
        write, beam_options = ReadWritten(temporary), ()
    options = PipelineOptions(beam_arguments(beam_options))
    with beam.Pipeline(options=options) as pipeline, tft_beam.Context(str(temporary)):
        done = (
            pipeline
            | "List tasks" >> beam.Create(tasks)
            | "Spread tasks" >> beam.Reshuffle()
            | "Write records" >> beam.ParDo(write)
        )
        # Not as outputs by name, which Beam's runner on Dask mixes.
        moments = done | "Moments" >> beam.FlatMap(moments_of).with_output_types(pa.RecordBatch)
        counts = done | "Counts" >> beam.Map(count_of).with_output_types(tuple[str, int])
        by_split = counts | "Count records" >> beam.CombinePerKey(sum)
        _ = by_split | "Check counts" >> beam.Map(check_count, source)
        named = done | "Digests" >> beam.Map(digest_of_shard) | "Gather" >> beam.GroupByKey()
        _ = named | "Write digests" >> beam.Map(write_digests, digests)
        fitting = (moments, adapter_config()) | "Fit" >> tft_beam.AnalyzeDataset(dataset_moments)
        _ = fitting | "Write moments" >> tft_beam.WriteTransformFn(str(fitted))
    return read_moments(fitted), digest_of(json.loads(digests.read_text(encoding="utf-8")))


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
    with (
        beam.Pipeline(options=options) as pipeline,
        tft_beam.Context(str(plain_path(Path(temporary)))),
    ):
        nothing = pipeline | beam.Create([]).with_output_types(pa.RecordBatch)
        fitted = (nothing, config) | tft_beam.AnalyzeDataset(preprocess)
        _ = fitted | tft_beam.WriteTransformFn(str(plain_path(graph)))
