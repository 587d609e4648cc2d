"""How long a monitor takes over many logged answers, and whether its memory stays flat."""

import datetime
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.ingest import SCALE
from benchmarks.processes import Cost, cost, table, verdict

FEW, MANY = (round(count * SCALE) for count in (100_000, 1_000_000))
WINDOWS = 30
LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
COLUMNS, VALUES = 20, 6
LABELLED = 0.8
START = 1_700_006_400
"""A midnight."""
MEBIBYTE = 2**20
_FILE_ROWS = 50_000

_WATCH = """
import sys
from pathlib import Path
from benchmarks.monitor import reference, slices
from components.monitor.monitor import watch
from components.monitor.settings import MonitorSettings

folder, database = sys.argv[1:]
settings = MonitorSettings(
    state=folder,
    samples=folder,
    model="flowers",
    labels=(folder + "/labels.csv",),
    slices=slices(),
)
watch(settings, Path(database), {"1": reference()})
"""


def measure() -> str:
    """Watches a server's samples of each size, and the same again."""
    rows, costs = [], {}
    for count in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            write_world(Path(folder), count)
            command = [sys.executable, "-c", _WATCH, folder, f"{folder}/monitor.db"]
            costs[count] = (cost(command), cost(command))
            size = (Path(folder) / "monitor.db").stat().st_size / MEBIBYTE
        rows.append([f"{count:,}", *map(_in_words, costs[count]), f"{size:,.0f} MiB"])
    sizes = table(["answers", "all of them", "the same again", "database"], rows)
    few, many = (costs[count][0] for count in (FEW, MANY))
    bounds = [
        [f"seconds of {FEW:,}", f"{few.seconds:.1f}", verdict(few.seconds, 60, at_least=False)],
        [
            f"peak memory at {MANY:,} / at {FEW:,}",
            f"{many.largest / few.largest:.2f}",
            verdict(many.largest / few.largest, 1.2, at_least=False),
        ],
    ]
    return f"{sizes}\n\n{table(['', 'measured', 'bound'], bounds)}"


def _in_words(taken: Cost) -> str:
    return f"{taken.seconds:.1f} s, {taken.largest / MEBIBYTE:,.0f} MiB"


def slices() -> tuple[str, ...]:
    """What is sliced by: the label, and columns of the labels' table."""
    return ("label", *(f"column_{place}" for place in range(COLUMNS)))


def reference() -> Any:
    """What the windows are held against: an evaluation of 2,000 photographs."""
    from components.monitor.drift.answers import confidences, entropies
    from components.monitor.drift.shares import histogram
    from components.monitor.sequential.changed_share import Counted
    from components.monitor.windows.reference import Reference, slice_name

    truth, probabilities = _drawn(2000, seed=99)
    given = probabilities.argmax(axis=1)
    right = given == truth
    of_labels = {
        slice_name({"label": label}): Counted(
            int((right & (truth == place)).sum()), int((truth == place).sum())
        )
        for place, label in enumerate(LABELS)
    }
    histograms = {
        "confidence": histogram("confidence", confidences(probabilities)).tolist(),
        "entropy": histogram("entropy", entropies(probabilities)).tolist(),
    }
    by_label = {label: int((given == place).sum()) for place, label in enumerate(LABELS)}
    counts = {"{}": Counted(int(right.sum()), len(right)), **of_labels}
    return Reference(LABELS, by_label, {}, histograms, counts)


def _drawn(count: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, len(LABELS), count)
    scores = generator.normal(size=(count, len(LABELS)))
    scores[np.arange(count), truth] += 3
    powers = np.exp(scores)
    return truth, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def write_world(folder: Path, count: int) -> None:
    """Writes a server's samples of `WINDOWS` days, and labels of most of them.

    Args:
        folder: Where they go.
        count: Answers.
    """
    samples = folder / "flowers"
    samples.mkdir()
    columns = ",".join(slices()[1:])
    starts = range(0, count, _FILE_ROWS)
    with (folder / "labels.csv").open("w") as labels:
        labels.write(f"image_id,label,{columns}\n")
        for number, start in enumerate(starts):
            age = len(starts) - 1 - number
            path = samples / f"samples.jsonl{f'.{age}' if age else ''}"
            rows = min(_FILE_ROWS, count - start)
            with path.open("w") as lines:
                for sample, label in _rows(start, rows, count):
                    lines.write(sample)
                    labels.write(label)


def _rows(start: int, rows: int, count: int) -> Iterator[tuple[str, str]]:
    truth, probabilities = _drawn(rows, seed=start)
    generator = np.random.default_rng(start + 1)
    values = generator.integers(0, VALUES, (rows, COLUMNS))
    labelled = generator.random(rows) < LABELLED
    for place in range(rows):
        seconds = START + (start + place) * WINDOWS * 86400 / count
        index = int(probabilities[place].argmax())
        image_id = hashlib.sha256(b"%d" % (start + place)).hexdigest()
        sample = {
            "time": datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(),
            "model": "flowers",
            "version": 1,
            "image_id": image_id,
            "label": LABELS[index],
            "label_index": index,
            "probabilities": probabilities[place].astype(float).tolist(),
        }
        row = ",".join(map(str, values[place]))
        label = f"{image_id},{LABELS[truth[place]]},{row}\n" if labelled[place] else ""
        yield json.dumps(sample) + "\n", label
