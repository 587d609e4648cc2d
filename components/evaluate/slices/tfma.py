"""Metrics that TFMA computes: a Beam pipeline over the answers, with our own slices."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_model_analysis.proto import config_pb2
from tensorflow_model_analysis.slicer import slicer_lib

from components.evaluate.slices.slicing import Slice
from darkroom.answers.answers import Answers, MultiLabelAnswers
from darkroom.artifacts.examples import LABEL
from darkroom.beam.options import beam_arguments
from darkroom.metrics.metric import TfmaMetric

_PLACE = "slice"


def tfma_values(
    slices: Sequence[Slice], answers: Answers, metrics: Mapping[str, TfmaMetric]
) -> list[dict[str, float]]:
    """Has TFMA compute metrics.

    Args:
        slices: The slices.
        answers: The answers to all images.
        metrics: What it is to compute, by name.

    Returns:
        Values by name, of each slice.
    """
    config = _eval_config(metrics)
    (evaluator,) = tfma.default_evaluators(eval_config=config)
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline(options=PipelineOptions(beam_arguments(()))) as pipeline:
            evaluated = (
                pipeline
                | "Answers" >> beam.Create(_extracts(slices, answers))
                | evaluator.stage_name >> evaluator.ptransform
            )
            _ = (
                evaluated[tfma.METRICS_KEY]
                | "To lines" >> beam.Map(_json_line)
                | "Write" >> beam.io.WriteToText(f"{folder}/values")
            )
        texts = [path.read_text(encoding="utf-8") for path in Path(folder).iterdir()]
    lines = [line for text in texts for line in text.splitlines()]
    by_place: dict[int, dict[str, float]] = dict(map(json.loads, lines))
    return [by_place[place] for place in range(len(slices))]


def _eval_config(metrics: Mapping[str, TfmaMetric]) -> Any:
    config = config_pb2.EvalConfig()
    config.model_specs.add(label_key=LABEL)
    specs = config.metrics_specs.add().metrics
    for name, metric in metrics.items():
        text = json.dumps({"name": name, **metric.options})
        specs.add(class_name=metric.class_name, module=metric.module, config=text)
    config.slicing_specs.add()
    return config


def _extracts(slices: Sequence[Slice], answers: Answers) -> Iterator[dict[str, Any]]:
    """What TFMA's extractors would give for each image."""
    keys: list[list[tuple[tuple[str, int], ...]]] = [[] for _ in range(answers.count)]
    for place, of_slice in enumerate(slices):
        for image in of_slice.places:
            keys[image].append(((_PLACE, place),))
    several = isinstance(answers, MultiLabelAnswers)
    labels = answers.actual if several else answers.actual.argmax(axis=1)[:, np.newaxis]
    for image, of_image in enumerate(keys):
        yield {
            tfma.LABELS_KEY: labels[image],
            tfma.PREDICTIONS_KEY: answers.probabilities[image],
            tfma.FEATURES_KEY: {},
            tfma.EXAMPLE_WEIGHTS_KEY: None,
            tfma.SLICE_KEY_TYPES_KEY: slicer_lib.slice_keys_to_numpy_array(of_image),
        }


def _json_line(computed: tuple[Any, Mapping[Any, Any]]) -> str:
    slice_key, by_key = computed
    ((_, place),) = slice_key
    return json.dumps([int(place), {key.name: _shortest(value) for key, value in by_key.items()}])


def _shortest(value: Any) -> float:
    """The shortest decimal of a float32, so that a share of 0.9 is not below 0.9."""
    return float(str(np.float32(value)))
