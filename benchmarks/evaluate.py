"""Evaluate beside a bare `model.predict`, beside TFMA, and at many labels; memory as it grows."""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.ingest import SCALE, ingest_command
from benchmarks.photographs import photographs
from benchmarks.processes import Cost, cost, interleaved, seconds, spread, table, verdict

FEW, MANY = round(2_000 * SCALE), round(20_000 * SCALE)
SIDE, ALPHA = 160, 0.35
ONLY_TEST = {"split": {"train": 0, "valid": 0, "test": 1}}


def measure() -> str:
    """Runs all sides in turn over the same test photographs."""
    with tempfile.TemporaryDirectory() as folder:
        model = exported_model(Path(folder) / "model")
        commands = {}
        for count in (FEW, MANY):
            out = f"{folder}/{count}"
            cost(ingest_command(photographs(count), out, **ONLY_TEST))
            examples = f"{out}/examples"
            commands[f"evaluate / {count}"] = _evaluate_command(examples, model)
            inference = [sys.executable, "-m", "benchmarks.predictions", examples, str(model)]
            commands[f"inference / {count}"] = [*inference, "{out}/predictions"]
            commands[f"predict / {count}"] = _peer("model_predict.py", examples)
            commands[f"tfma / {count}"] = _peer("tfma_evaluation.py", examples, str(model))
        costs = interleaved(commands, sample_memory=True)
    return f"{_bounds(costs)}\n\n{_after_inference()}"


def exported_model(folder: Path, weights: str = "none") -> Path:
    """A network exported as train exports one, which has learned nothing but its `weights`."""
    made = folder.parent / "made"
    settings = {"backbone": "MobileNetV2", "alpha": ALPHA, "weights": weights, "epochs": 1}
    cost(ingest_command(photographs(100), str(made)))
    python = [sys.executable, "-m"]
    transformed = ["--transform-graph", f"{made}/graph", "--transformed-examples", f"{made}/pixels"]
    size = json.dumps({"image_size": SIDE})
    examples = ["--examples", f"{made}/examples"]
    cost([*python, "components.transform", *examples, "--settings", size, *transformed])
    outputs = ["--model", str(folder), "--checkpoints", f"{made}/checkpoints"]
    cost([*python, "components.train", *transformed, "--settings", json.dumps(settings), *outputs])
    return folder


def _evaluate_command(examples: str, model: Path) -> list[str]:
    command = [sys.executable, "-m", "components.evaluate", "--examples", examples]
    outputs = ["--evaluation", "{out}/evaluation", "--report", "{out}/report.html"]
    settings = json.dumps({"baseline": "none"})
    return [*command, "--model", str(model), "--settings", settings, *outputs]


def _peer(script: str, *arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "benchmarks" / "peers" / script), *arguments]


def _bounds(costs: dict[str, list[Cost]]) -> str:
    def rates(name: str) -> list[float]:
        at_few, at_many = (seconds(costs[f"{name} / {count}"]) for count in (FEW, MANY))
        return [(MANY - FEW) / (b - a) for a, b in zip(at_few, at_many, strict=True)]

    ours, bare, tfma = rates("evaluate"), rates("predict"), rates("tfma")
    inference = rates("inference")
    beside_bare = [a / b for a, b in zip(inference, bare, strict=True)]
    beside_tfma = [a / b for a, b in zip(ours, tfma, strict=True)]
    peaks = [
        statistics.median(one.largest for one in costs[f"evaluate / {count}"])
        for count in (FEW, MANY)
    ]
    memory = peaks[1] / peaks[0]
    rows = [
        [
            "images a second",
            f"{spread(ours, 0)}; bare {spread(bare, 0)}; TFMA {spread(tfma, 0)}",
            "",
        ],
        [
            "inference / model.predict",
            spread(beside_bare),
            verdict(statistics.median(beside_bare), 0.9, True),
        ],
        [
            "evaluate / TFMA that runs the model",
            spread(beside_tfma),
            verdict(statistics.median(beside_tfma), 5, True),
        ],
        [f"memory, {MANY:,} / {FEW:,} photographs", f"{memory:.2f}", verdict(memory, 1.2, False)],
    ]
    return table(["figure", "median", "must be"], rows)


def _after_inference() -> str:
    """What comes after the models' answers, on answers that are made up."""
    rows = []
    for images, labels, groups, most in ((10_000, 5, 15, 30), (50_000, 1_000, 15, 60)):
        count = round(images * min(SCALE, 1))
        took, size = judged(count, labels, groups)
        name = f"{count:,} predictions, {labels:,} labels, {labels + groups} slices"
        rows.append([name, f"{took:.1f} s", verdict(took, most, False)])
        rows.append([f"{name}: the report", f"{size / 1e6:.2f} MB", verdict(size / 1e6, 5, False)])
    return table(["after inference", "measured", "must be"], rows)


def judged(images: int, labels: int, groups: int) -> tuple[float, int]:
    """Judges made-up answers: seconds, and the report's bytes.

    Args:
        images: Number of images.
        labels: Number of labels.
        groups: Number of groups to slice by.
    """
    from components.evaluate.evaluate import judge_predictions
    from components.evaluate.settings import EvaluateSettings

    settings = EvaluateSettings(slices=("label", "group"), baseline="none")
    with tempfile.TemporaryDirectory() as folder:
        predictions, examples, model = _made_up(Path(folder), images, labels, groups)
        began = time.monotonic()
        report = Path(folder) / "report.html"
        judge_predictions(predictions, examples, model, None, settings, Path(folder), report)
        return time.monotonic() - began, report.stat().st_size


def _made_up(folder: Path, images: int, labels: int, groups: int) -> tuple[Any, Any, Any]:
    import numpy as np
    import pyarrow as pa

    from darkroom.artifacts.examples import Examples
    from darkroom.artifacts.model import Model
    from darkroom.artifacts.predictions import prediction_schema

    generator = np.random.default_rng(0)
    names = np.array([f"label {number:04}" for number in range(labels)])
    indices = generator.integers(0, labels, images)
    scores = generator.normal(size=(images, labels)).astype(np.float32)
    scores[np.arange(images), indices] += 4
    powers = np.exp(scores)
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    identities = [f"{number:08}" for number in range(images)]
    group = [str(number % groups) for number in range(images)]
    given = names[indices].tolist()
    slices = pa.StructArray.from_arrays([pa.array(given), pa.array(group)], ["label", "group"])
    flat = pa.FixedSizeListArray.from_arrays(pa.array(probabilities.ravel()), labels)
    columns = {
        "split": ["test"] * images,
        "image_id": identities,
        "image_path": identities,
        "label": given,
        "label_index": indices,
        "predicted_label": names[probabilities.argmax(axis=1)].tolist(),
        "probabilities": flat,
        "slices": slices,
    }
    schema = prediction_schema(labels, {"label": "bytes", "group": "bytes"}, False, False)
    known = tuple(names.tolist())
    examples = Examples(folder, known, {"test": images}, {"group": "bytes"}, False, {})
    model = Model(folder, known, None, None, {})
    return pa.table(columns, schema=schema), examples, model
