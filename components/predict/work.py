"""The work that predictions are made in: its shards are planned in files, and done one by one.

The folders outlive a killed process: a shard whose mark is there is whole, and is not done again.
"""

import contextlib
import dataclasses
import glob
import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from components.predict.models.model import Facts
from components.predict.rows import Listed, Records, Row, list_rows
from components.predict.settings import PredictSettings
from darkroom.artifacts.rejected import Rejection, read_rejections, write_rejections
from darkroom.errors import SettingsError
from darkroom.storage.atomic import atomic_file, write_json
from darkroom.storage.files import list_files, read_bytes, read_from, written_to
from darkroom.storage.locks import locked

SHARD_ROWS = 256
"""Rows of the first shards, which is what a killed process does again at most."""
_SHARDS_OF_A_SIZE, _MOST_DOUBLINGS = 128, 5
"""After so many shards they are twice as large, so often: there are never too many files."""
_PLAN_FOLDER, _OUTPUT = "plan", "output"
_PLAN = "plan.json"
_ROWS, _REFUSED, _MARK = "rows", "refused", "mark"


@dataclasses.dataclass(frozen=True)
class Shard:
    """Rows whose predictions become one file.

    Attributes:
        number: Its place among the shards.
        total: Number of shards.
        records: Path or URI of a TFRecord file of examples; "" where the rows stand in a file of
            the work's own.
    """

    number: int
    total: int
    records: str = ""

    def file(self, name: str, suffix: str) -> str:
        """The name of a file of this shard, such as `predictions-00000-of-00004.parquet`."""
        return f"{name}-{self.number:05d}-of-{self.total:05d}.{suffix}"


@dataclasses.dataclass(frozen=True)
class Work:
    """A plan, and where its files and what comes of it stand.

    Attributes:
        folder: Path or URI of the plan's files.
        output: Path or URI of the folder of the predictions.
        columns: Type by name of the columns that are passed through.
        shards: The shards, in order.
        rows: Number of rows that were listed, refused ones too; those of records are not known.
        reasons: Why rows were refused before any photograph was opened, and how many.
    """

    folder: str
    output: str
    columns: dict[str, str]
    shards: tuple[Shard, ...]
    rows: int
    reasons: dict[str, int]

    def rows_of(self, shard: Shard) -> Iterator[Row]:
        """The rows of a shard that has no records."""
        with read_from(f"{self.folder}/{shard.file(_ROWS, 'jsonl')}") as path, path.open() as file:
            for line in file:
                yield Row(*json.loads(line))

    def done(self) -> dict[int, dict[str, Any]]:
        """The marks of the shards that are done, by number."""
        found = list_files(f"{glob.escape(self.folder)}/{_MARK}-*")
        marks = [json.loads(read_bytes(file.location)) for file in found]
        return {mark["number"]: mark for mark in marks}

    def refused(self) -> Iterator[Rejection]:
        """The refused rows, those of each shard in the order of the rows."""
        for file in list_files(f"{glob.escape(self.folder)}/{_REFUSED}-*"):
            with read_from(file.location) as path:
                yield from read_rejections(path)

    def finish(
        self, shard: Shard, predicted: int, rejections: Sequence[Rejection], **more: Any
    ) -> None:
        """Notes that a shard's predictions are written, with what was refused; the mark is last."""
        reasons = dict(Counter(rejection.reason for rejection in rejections))
        mark = {"number": shard.number, "predicted": predicted, "reasons": reasons, **more}
        with written_to(self.folder) as local:
            if rejections:
                with atomic_file(local / shard.file(_REFUSED, "jsonl")) as temporary:
                    write_rejections(temporary, rejections)
        with written_to(self.folder) as local:
            write_json(local / shard.file(_MARK, "json"), mark)


def claimed(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Keeps other processes of this machine from the work in a folder; one that is killed does not.

    Raises:
        StepError: Another is at it.
    """
    lock = folder.with_name(f"{folder.name}.lock")
    return locked(lock, f"another process is at the work in {folder}: wait for it")


def begin(folder: Path, settings: PredictSettings, facts: Facts) -> tuple[Work, bool]:
    """Plans the work, or takes up that which another process began with the same.

    Args:
        folder: A folder of this machine, whose files are those of this work.
        settings: The predict step's settings.
        facts: What is known of the model.

    Returns:
        The work, and whether it was begun before.

    Raises:
        SettingsError: There is no photograph, or nothing at one of the places of `data`.
        StepError: A table does not parse.
    """
    key = _key(settings, facts)
    plan = folder / _PLAN_FOLDER / _PLAN
    if plan.is_file():
        known = json.loads(plan.read_text())
        if known["key"] == key:
            return _work(folder, known), True
    shutil.rmtree(folder, ignore_errors=True)
    for name in (_PLAN_FOLDER, _OUTPUT):
        (folder / name).mkdir(parents=True)
    try:
        return _work(folder, _planned(folder / _PLAN_FOLDER, settings, key)), False
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _planned(folder: Path, settings: PredictSettings, key: str) -> dict[str, Any]:
    listed, rows, refused = Listed(), 0, list[Rejection]()
    records: list[str] = []
    held: list[Row] = []
    files = 0
    for found in list_rows(settings, listed):
        if isinstance(found, Records):
            records.append(found.location)
            continue
        rows += 1
        if isinstance(found, Rejection):
            refused.append(found)
            continue
        held.append(found)
        if len(held) == SHARD_ROWS << min(files // _SHARDS_OF_A_SIZE, _MOST_DOUBLINGS):
            _write_rows(folder / f"{files:05d}", held)
            files, held = files + 1, []
    if held:
        _write_rows(folder / f"{files:05d}", held)
        files += 1
    if not rows and not records:
        raise SettingsError(f"no photograph in {', '.join(settings.data) or 'predict.data'}")
    total = files + len(records)
    for number in range(files):
        (folder / f"{number:05d}").rename(folder / Shard(number, total).file(_ROWS, "jsonl"))
    columns = listed.columns(settings)
    if refused:
        write_rejections(folder / f"{_REFUSED}-listing.jsonl", refused)
    plan = {
        "key": key,
        "columns": columns,
        "files": files,
        "records": records,
        "rows": rows,
        "reasons": dict(Counter(each.reason for each in refused)),
    }
    write_json(folder / _PLAN, plan)
    return plan


def _write_rows(path: Path, rows: Iterable[Row]) -> None:
    lines = (json.dumps(row, ensure_ascii=True) + "\n" for row in rows)
    path.write_text("".join(lines))


def _work(folder: Path, plan: dict[str, Any]) -> Work:
    total = plan["files"] + len(plan["records"])
    shards = [Shard(number, total) for number in range(plan["files"])]
    shards += [
        Shard(number, total, location)
        for number, location in enumerate(plan["records"], plan["files"])
    ]
    return Work(
        str(folder.absolute() / _PLAN_FOLDER),
        str(folder.absolute() / _OUTPUT),
        plan["columns"],
        tuple(shards),
        plan["rows"],
        plan["reasons"],
    )


_NO_MATTER = {"overwrite", "beam_options", "batch_size", "batch_bytes"}
_NO_MATTER |= {"requests_per_second", "parallel_requests", "patience"}
"""Settings that no prediction depends on."""


def _key(settings: PredictSettings, facts: Facts) -> str:
    """What tells this work from other work in the same folder."""
    values = settings.model_dump(mode="json", exclude=_NO_MATTER)
    text = json.dumps([values, facts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
