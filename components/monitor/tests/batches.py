"""Batch predictions of any format, written as the predict step does."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.monitor.tests.small_world import LABELS, drawn, image_id
from darkroom.artifacts import batch_predictions
from darkroom.artifacts.manifest import PROVENANCE, write_manifest
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record


def write_batch(folder: Path, form: str, rows: list[dict[str, Any]], **more: Any) -> Path:
    """A predictions artifact as the predict step writes it."""
    folder.mkdir()
    path = folder / f"predictions-00000.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif form == "csv":
        with path.open("w", newline="") as text:
            table = csv.DictWriter(text, list(rows[0]))
            table.writeheader()
            lists = ("probabilities", "embedding")
            table.writerows(
                row | {name: json.dumps(row[name]) for name in lists if name in row} for row in rows
            )
    else:
        with path.open("wb") as file:
            for row in rows:
                write_record(file, serialized_example(row))
    content = {
        "format": form,
        "labels": list(LABELS),
        "model": {"digest": "d" * 64, "version": None},
        "counts": {"predicted": len(rows)},
        PROVENANCE: {"started": "2023-11-15T06:00:00+00:00"},
    }
    write_manifest(folder, batch_predictions.KIND, content | more)
    return folder


def embedded_rows(numbers: Sequence[int], time: float, shift: float = 0.0) -> list[dict[str, Any]]:
    """Rows with embeddings of six numbers, each photograph its own."""
    _, probabilities = drawn(len(numbers))
    return [
        {
            "image": f"{number}.jpg",
            "image_id": image_id(number),
            "label": LABELS[int(row.argmax())],
            "label_index": int(row.argmax()),
            "probabilities": [float(value) for value in row],
            "embedding": [
                float(value)
                for value in np.random.default_rng(number).normal(size=6).astype(np.float32) + shift
            ],
            "time": time,
            "model_version": 1,
        }
        for number, row in zip(numbers, probabilities, strict=True)
    ]
