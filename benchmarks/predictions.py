"""Evaluate's inference alone: `python -m benchmarks.predictions EXAMPLES MODEL OUT`."""

import sys
from pathlib import Path

from components.evaluate.predictions.pipeline import write_predictions
from components.evaluate.settings import EvaluateSettings
from darkroom.artifacts.examples import read_examples
from darkroom.artifacts.model import read_model

if __name__ == "__main__":
    examples, model, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    write_predictions(read_examples(examples), read_model(model), EvaluateSettings(), out)
