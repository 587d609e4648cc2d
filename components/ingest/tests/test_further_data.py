"""Photographs that are added to the old ones: by the same rules, and no old one moves."""

import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.ingest.fingerprint import fingerprint, photograph_states
from components.ingest.settings import IngestSettings
from components.ingest.sources.header import known_columns, known_data
from components.ingest.tests.pictures import encoded, gradient
from darkroom.errors import SettingsError

RunIngest = Callable[..., Any]
Photographs = Callable[[int], Path]


def add_table(folder: Path, name: str, labels: list[str], seed: int = 5000, **more: Any) -> Path:
    """A table of new photographs."""
    rows = []
    for number, label in enumerate(labels):
        path = folder / "photographs" / f"{name}{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(gradient(seed + number), "PNG"))
        image = f"photographs/{path.name}"
        rows.append({"image": image, "label": label, "source": "monitored", **more})
    table = folder / f"{name}.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return table


def splits(ingested: Any) -> dict[str, str]:
    return {
        record["image_path"][0].decode(): split
        for split, records in ingested.records.items()
        for record in records
    }


def test_old_photographs_stay_where_they_are_and_new_ones_join(
    tmp_path: Path, photographs: Photographs, run_ingest: RunIngest
) -> None:
    data = photographs(60)
    before = splits(run_ingest(data, "before"))
    further = tmp_path / "production"
    add_table(further, "a", ["rose", "daisy"] * 40)
    again = next(path for path, split in before.items() if split == "test")
    shutil.copy(data / again, further / "photographs" / "copy.jpg")
    line = {"image": "photographs/copy.jpg", "label": again.partition("/")[0], "source": "again"}
    with (further / "a.jsonl").open("a") as table:
        table.write(json.dumps(line) + "\n")
    after = run_ingest(data, "after", further_data=[f"{further}/*.jsonl"], max_rejected=1)
    assert {path: after_ for path, after_ in splits(after).items() if path in before} == before
    assert after.reasons["photographs/copy.jpg"] == "duplicate"
    new = [split for path, split in splits(after).items() if path not in before]
    assert len(new) == 80
    assert set(new) == {"train", "valid", "test"}
    marked = [r for r in after.all_records if r.get("source") == [b"monitored"]]
    assert len(marked) == 80
    assert after.examples.columns == {"source": "bytes"}


def test_only_what_is_new_is_read(
    tmp_path: Path,
    photographs: Photographs,
    run_ingest: RunIngest,
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger("darkroom").propagate = True
    data, further = photographs(30), tmp_path / "production"
    tables = [f"{further}/*.jsonl"]
    with caplog.at_level(logging.INFO):
        run_ingest(data, "none", further_data=tables)
        add_table(further, "a", ["rose"] * 10)
        first = {"further_data": tables, "previous": str(tmp_path / "none" / "examples")}
        run_ingest(data, "one", **first)
        add_table(further, "b", ["daisy"] * 7, seed=7000)
        second = {"further_data": tables, "previous": str(tmp_path / "one" / "examples")}
        in_steps = run_ingest(data, "two", **second)
        at_once = run_ingest(data, "whole", further_data=tables)
    read = [line for line in caplog.messages if line.endswith("photographs read")]
    assert read == [f"{count} photographs read" for count in (60, 10, 7, 77)]
    assert splits(in_steps) == splits(at_once)
    assert any(line.startswith("no table ") for line in caplog.messages)


def test_data_that_names_its_splits_keeps_them(
    tmp_path: Path, photographs: Photographs, run_ingest: RunIngest
) -> None:
    """Data of train and test alone gives valid from train, with further data or without."""
    data = photographs(60)
    rows = [
        {"image": str(path), "label": path.parent.name, "split": "test" if n % 4 else "train"}
        for n, path in enumerate(sorted(data.glob("*/*.jpg")))
    ]
    table = tmp_path / "named.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = splits(run_ingest(table, "before"))
    assert "valid" in before.values()
    add_table(tmp_path / "production", "a", ["rose"] * 20)
    further = {"further_data": [f"{tmp_path}/production/a.jsonl"]}
    after = splits(run_ingest(table, "after", **further))
    assert {path: after.get(path) for path in before} == before
    assert len(after) == len(before) + 20


def test_columns_of_other_names_and_what_is_known_in_a_glance(
    tmp_path: Path, photographs: Photographs, run_ingest: RunIngest
) -> None:
    data = photographs(20)
    table = tmp_path / "own.csv"
    lines = [f"{path},{path.parent.name}" for path in sorted(data.glob("*/*.jpg"))]
    table.write_text("\n".join(["photo,kind", *lines]))
    further = add_table(tmp_path / "production", "a", ["rose", "tulip"] * 10, camera="left")
    names = {"image_column": "photo", "label_column": "kind", "further_data": [str(further)]}
    ingested = run_ingest(table, **names)
    assert ingested.examples.labels == ("daisy", "rose", "tulip")
    settings = IngestSettings.model_validate(names)
    assert known_columns(str(table), settings) == ["source", "camera"]
    assert known_data(str(table), settings).labels == ("daisy", "rose", "tulip")
    digits = IngestSettings(further_data=(str(further),))
    assert known_columns("sklearn:digits", digits) == ["source", "camera"]


def test_digests_follow_what_is_added(tmp_path: Path, photographs: Photographs) -> None:
    data = str(photographs(5))
    settings = IngestSettings(further_data=(f"{tmp_path}/production/*.jsonl",))
    alone = fingerprint(data, settings)
    assert alone == fingerprint(data, IngestSettings())
    of_digits = fingerprint("sklearn:digits", settings)
    add_table(tmp_path / "production", "a", ["rose"] * 3)
    assert fingerprint(data, settings) != alone
    assert fingerprint("sklearn:digits", settings) != of_digits
    assert len(photograph_states(data, settings)) == 13
    before = fingerprint(data, settings)
    os.utime(tmp_path / "production" / "photographs" / "a0.png", (1, 1))
    assert fingerprint(data, settings) != before


def test_a_place_that_is_not_there_is_said(
    tmp_path: Path, photographs: Photographs, run_ingest: RunIngest
) -> None:
    with pytest.raises(SettingsError, match=r"no-such\.csv does not exist"):
        run_ingest(photographs(5), further_data=[str(tmp_path / "no-such.csv")])


@pytest.mark.slow
def test_a_runner_gives_the_same(
    tmp_path: Path, photographs: Photographs, run_ingest: RunIngest
) -> None:
    data = photographs(30)
    add_table(tmp_path / "production", "a", ["rose", "daisy"] * 10)
    further = {"further_data": [f"{tmp_path}/production/*.jsonl"]}
    here = run_ingest(data, "here", **further)
    there = run_ingest(data, "there", **further, beam_options=["--runner=DirectRunner"])
    assert splits(here) == splits(there)
    assert here.examples.columns == there.examples.columns
