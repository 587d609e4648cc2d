"""TFMA as its guide says: it reads the records, runs the model and computes sliced metrics.

Usage: python benchmarks/peers/tfma_evaluation.py EXAMPLES MODEL

Written on its own, sharing no code with Darkroom. The label is text in the records, and TFMA's
metrics want its index: an extractor of the user's looks it up.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from google.protobuf import text_format
from tensorflow_model_analysis.proto import config_pb2
from tfx_bsl.tfxio import tf_example_record

RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"
CONFIG = """
model_specs { signature_name: "from_examples" prediction_key: "probabilities"
  label_key: "label" model_type: "tf_generic" }
slicing_specs {}
slicing_specs { feature_keys: ["label"] }
metrics_specs {
  metrics { class_name: "ExampleCount" }
  metrics { class_name: "SparseCategoricalAccuracy" }
  metrics { class_name: "SparseCategoricalCrossentropy" }
  metrics { class_name: "MultiClassConfusionMatrixAtThresholds" config: '{"thresholds": [-1]}' }
}
metrics_specs {
  metrics { class_name: "AUC" }
  binarize { class_ids { values: [0, 1, 2, 3, 4] } }
}
"""


def main(examples: str, model: str) -> None:
    """Evaluates the model on the test shards."""
    labels = Path(model, "labels.txt").read_text(encoding="utf-8").splitlines()
    places = {label: place for place, label in enumerate(labels)}
    config = text_format.Parse(CONFIG, config_pb2.EvalConfig())
    shared = tfma.default_eval_shared_model(model, eval_config=config)

    def with_index(extracts):
        labels = extracts[tfma.LABELS_KEY]
        found = [[places[bytes(label).decode()]] for label in np.ravel(labels)]
        return {**extracts, tfma.LABELS_KEY: np.array(found)}

    extractors = tfma.default_extractors(eval_shared_model=shared, eval_config=config)
    place = next(number for number, one in enumerate(extractors) if "Label" in one.stage_name)
    looked_up = beam.Map(with_index)
    extractors.insert(
        place + 1, tfma.extractors.Extractor(stage_name="Index", ptransform=looked_up)
    )
    source = tf_example_record.TFExampleRecord(
        f"{examples}/test-*.tfrecord",
        raw_record_column_name=tfma.ARROW_INPUT_COLUMN,
        telemetry_descriptors=["benchmark"],
    )
    with tempfile.TemporaryDirectory() as folder:
        options = PipelineOptions([f"--runner={RUNNER}"])
        with beam.Pipeline(options=options) as pipeline:
            _ = (
                pipeline
                | source.BeamSource()
                | tfma.ExtractEvaluateAndWriteResults(
                    eval_shared_model=shared,
                    eval_config=config,
                    extractors=extractors,
                    output_path=folder,
                )
            )
        results = tfma.load_eval_result(folder)
        print(f"{len(results.slicing_metrics)} slices")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
