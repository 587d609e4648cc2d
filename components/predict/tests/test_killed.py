"""A process that is killed at any moment loses no row, and none is there twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.predict import photographs, predictions
from components.predict import work as work_module
from components.predict.photographs import Photograph
from components.predict.predict import predict
from components.predict.settings import PredictSettings
from components.predict.tests.small_model import write_photographs
from components.predict.work import Shard, Work
from darkroom.artifacts.batch_predictions import read_batch_predictions
from darkroom.artifacts.rejected import Rejection, read_rejections
from darkroom.errors import StepError

pytestmark = pytest.mark.slow

_SHARDS_OF_FOUR = """
import sys, pathlib, json
from components.predict import work
work.SHARD_ROWS = 4
from components.predict.predict import predict
from components.predict.settings import PredictSettings
settings = PredictSettings.model_validate(json.loads(sys.argv[1]))
predict(settings, pathlib.Path(sys.argv[2]), predictions=pathlib.Path(sys.argv[3]))
"""


def test_killed_in_the_middle_it_resumes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_photographs(tmp_path / "in", 400)
    for number in (3, 99, 200):
        files[number].write_bytes(b"no image")
    settings = {"data": str(tmp_path / "in"), "batch_size": 1}
    out = tmp_path / "out"
    command = [sys.executable, "-c", _SHARDS_OF_FOUR, json.dumps(settings), str(model), str(out)]
    plan = tmp_path / ".unfinished-out" / "plan"
    process = subprocess.Popen(command, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})
    while len(list(plan.glob("mark-*"))) < 10:
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = len(list(plan.glob("mark-*")))
    assert 10 <= done < 100
    assert not out.exists()
    # What the killed process was writing.
    (tmp_path / ".unfinished-out" / "output" / ".partial-0-predictions.parquet").write_text("half")
    asked: list[int] = []
    monkeypatch.setattr(work_module, "SHARD_ROWS", 4)
    read = photographs.read_photographs

    def counted(shard: Shard, *more: Any) -> Iterator[Photograph | Rejection]:
        asked.append(shard.number)
        return read(shard, *more)

    monkeypatch.setattr(predictions, "read_photographs", counted)
    predict(PredictSettings.model_validate(settings), model, predictions=out)
    assert len(asked) == 100 - done
    found = read_batch_predictions(out)
    images = found.table()["image"].to_pylist()
    refused = [str(each.row["image"]) for each in read_rejections(out / "rejected.jsonl")]
    assert refused == [str(files[number]) for number in (3, 99, 200)]
    assert sorted([*images, *refused]) == list(map(str, files))
    assert found.manifest["counts"] == {"predicted": 397, "rejected": 3}
    assert len(found.files) == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    fresh = tmp_path / "fresh"
    predict(PredictSettings.model_validate(settings), model, predictions=fresh)
    assert read_batch_predictions(fresh).manifest["digest"] == found.manifest["digest"]


def test_a_row_that_is_lost_is_noticed(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = str(write_photographs(tmp_path / "in", 3)[0].parent)
    lines = Work.rows_of
    monkeypatch.setattr(Work, "rows_of", lambda work, shard: list(lines(work, shard))[1:])
    with pytest.raises(StepError, match=r"^2 of 3 rows are accounted for; predict again$"):
        predict(PredictSettings(data=(data,)), model, predictions=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_is_one_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from components.predict import formats

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(formats.WRITERS, "parquet", formats.Writer("parquet", full))
    data = str(write_photographs(tmp_path / "in", 1)[0])
    with pytest.raises(StepError, match=r"^cannot write .*: No space left on device$"):
        predict(PredictSettings(data=(data,)), model, predictions=tmp_path / "out")
    assert not (tmp_path / "out").exists()
