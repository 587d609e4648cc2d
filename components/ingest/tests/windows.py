"""The windows that a stream leaves, and the rows that make them."""

import json
from pathlib import Path

from components.ingest.tests.pictures import encoded, gradient
from darkroom.artifacts.examples import SPLITS, Examples, read_examples
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records


def row(folder: Path, number: int, label: str, **columns: object) -> str:
    """Writes a photograph, and gives the message that announces it."""
    path = folder / f"{number}.png"
    temporary = folder / f".{number}"
    temporary.write_bytes(encoded(gradient(number), "PNG"))
    temporary.rename(path)  # a watched folder shows only whole files
    return json.dumps({"image": str(path), "label": label, **columns})


def windows(out: Path) -> list[Examples]:
    """Those that are whole; a stream that was killed may leave another."""
    return [read_examples(folder) for folder in sorted(out.glob("[!.]*"))]


def records(examples: Examples) -> dict[str, list[bytes]]:
    return {
        split: [record for shard in examples.shards(split) for record in read_records(shard)]
        for split in SPLITS
    }


def rejected(window: Examples) -> list[tuple[str, str]]:
    """Image (or text, where a row has none) and reason."""
    lines = (window.folder / "rejected.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [(r["row"].get("image") or r["row"]["text"], r["reason"]) for r in rows]


def images(window: Examples) -> set[str]:
    every = [parsed_example(record) for group in records(window).values() for record in group]
    return {Path(example["image_path"][0].decode()).stem for example in every}
