"""Batch prediction beside a bare tf.data loop with the same model, and its memory."""

import json
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks import ROOT
from benchmarks.evaluate import exported_model
from benchmarks.ingest import SCALE
from benchmarks.photographs import photographs
from benchmarks.processes import Cost, interleaved, seconds, spread, table, verdict

FEW, MANY = round(2_000 * SCALE), round(20_000 * SCALE)


def measure() -> str:
    """Predicts few and many photographs, in turn with the loop, each in processes of its own."""
    folders = {"few": photographs(FEW), "many": photographs(MANY)}
    with tempfile.TemporaryDirectory() as made:
        model = exported_model(Path(made) / "model")
        commands = {
            f"{name} / {size}": command
            for size, folder in folders.items()
            for name, command in {
                "predict": predict_command(model, folder),
                "predict, Beam": predict_command(model, folder, "--runner", "DirectRunner"),
                "tf.data loop": _loop(model, folder),
            }.items()
        }
        return _report(interleaved(commands))


def _report(costs: dict[str, list[Cost]]) -> str:
    def rates(name: str) -> list[float]:
        few, many = (seconds(costs[f"{name} / {size}"]) for size in ("few", "many"))
        return [(MANY - FEW) / (b - a) for a, b in zip(few, many, strict=True)]

    def start(name: str) -> list[float]:
        few = seconds(costs[f"{name} / few"])
        return [taken - FEW / rate for taken, rate in zip(few, rates(name), strict=True)]

    loop = rates("tf.data loop")
    rows = []
    for name in ("predict", "predict, Beam", "tf.data loop"):
        rows.append([f"{name}: photographs/s at the margin", spread(rates(name), 0), ""])
        rows.append([f"{name}: start, s", spread(start(name)), ""])
        if name != "tf.data loop":
            share = [ours / theirs for ours, theirs in zip(rates(name), loop, strict=True)]
            must = verdict(statistics.median(share), 0.85, True)
            rows.append([f"{name} / tf.data loop", spread(share), must])
    few, many = (
        max(each.largest for each in costs[f"predict / {size}"]) / 2**20 for size in ("few", "many")
    )
    rows.append([f"memory at {FEW:,}: MB", f"{few:,.0f}", ""])
    rows.append([f"memory at {MANY:,}: MB", f"{many:,.0f}", verdict(many / few, 1.1, False)])
    return table(["predict", "median (least to most)", "must be"], rows)


def predict_command(
    model: Path | None, data: Path, /, *options: str, **settings: object
) -> list[str]:
    """The predict step as a user runs it, its predictions in `{out}`.

    Args:
        model: The model's folder; None where the settings name the model.
        data: What is predicted.
        options: Of Beam.
        settings: Further ones.
    """
    named = [] if model is None else ["--model", str(model)]
    given = json.dumps({"data": str(data), **settings})
    command = [sys.executable, "-m", "components.predict", *named, "--settings", given]
    return [*command, "--predictions", "{out}/predictions", *options]


def _loop(model: Path, data: Path) -> list[str]:
    return [sys.executable, str(ROOT / "benchmarks/peers/predict_loop.py"), str(model), str(data)]
