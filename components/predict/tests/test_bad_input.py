"""Whatever a table, a file's name or a model holds: one row is refused, or all, in one line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from components.predict import photographs
from components.predict.models.local import find_model
from components.predict.predict import predict
from components.predict.settings import PredictSettings
from components.predict.tests.small_model import photograph, write_model, write_photographs
from darkroom.artifacts.batch_predictions import BatchPredictions, read_batch_predictions
from darkroom.artifacts.rejected import read_rejections
from darkroom.errors import SettingsError, StepError

pytestmark = pytest.mark.slow


def run(out: Path, model: Path, data: Path, **settings: Any) -> BatchPredictions:
    values = {"data": str(data), **settings}
    predict(PredictSettings.model_validate(values), model, predictions=out)
    return read_batch_predictions(out)


def write_table(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_no_column_takes_the_place_of_another(model: Path, tmp_path: Path) -> None:
    write_photographs(tmp_path, 1)
    table = write_table(tmp_path / "t.csv", "image,label,input_label", "0000.jpg,ours,theirs")
    with pytest.raises(SettingsError, match=r"^the columns 'label' and 'input_label' would both"):
        run(tmp_path / "out", model, table)
    assert not (tmp_path / "out").exists()
    (row,) = run(tmp_path / "out", model, table, pass_columns=["label"]).table().to_pylist()
    assert row["input_label"] == "ours"


def test_a_tables_columns_that_are_named_like_a_tiles(model: Path, tmp_path: Path) -> None:
    write_photographs(tmp_path, 1)
    header = "image,source_image_id,tile_top,tile_left,height,width"
    found = run(
        *(tmp_path / "out", model, write_table(tmp_path / "t.csv", header, "0000.jpg,a,b,c,d,e"))
    )
    assert [row["tile_top"] for row in found.table().to_pylist()] == ["b"]
    assert not list(found.folder.glob("tile_maps-*"))


def test_a_row_whose_path_is_absurd_costs_the_others_nothing(model: Path, tmp_path: Path) -> None:
    write_photographs(tmp_path, 1)
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    names = ["é" * 5000, "a" * 5000, "folder", "/dev/zero", "loop.jpg", "nothing://there/a.jpg"]
    lines = [json.dumps({"image": name}) for name in [*names, "a\0.jpg", "0000.jpg", "0000.jpg"]]
    found = run(tmp_path / "out", model, write_table(tmp_path / "t.jsonl", *lines))
    assert found.table()["image"].to_pylist() == ["0000.jpg", "0000.jpg"]
    rejections = list(read_rejections(tmp_path / "out" / "rejected.jsonl"))
    assert [each.row["image"] for each in rejections] == [*names, "a\0.jpg"]
    assert {each.reason for each in rejections} == {"unreadable_file"}
    assert [each.detail for each in rejections[2:4]] == ["no regular file"] * 2


def test_values_that_are_no_numbers(model: Path, tmp_path: Path) -> None:
    write_photographs(tmp_path, 1)
    table = write_table(
        tmp_path / "t.csv", "image,n,m", "0000.jpg,nan,1", "0000.jpg,inf,2.5", "0000.jpg,,"
    )
    rows = run(tmp_path / "out", model, table).table().to_pylist()
    assert [(row["n"], row["m"]) for row in rows] == [("nan", 1.0), ("inf", 2.5), (None, None)]
    lines = ['{"image": "0000.jpg", "n": NaN}', '{"image": "0000.jpg", "n": 1e999}']
    found = run(tmp_path / "of_json", model, write_table(tmp_path / "t.jsonl", *lines))
    assert found.table()["n"].to_pylist() == ["Infinity"]
    assert found.manifest["rejected"] == {"malformed_row": 1}


def test_another_programs_model_is_one_line(tmp_path: Path) -> None:
    import tensorflow as tf

    def lengths(texts: Any) -> dict[str, Any]:
        return {"dense": tf.strings.length(texts)}

    (file,) = write_photographs(tmp_path / "in", 1)
    for name, message in (("image_bytes", "gives no 'label'"), ("x", "takes x, not image_bytes")):
        specification = tf.TensorSpec([None], tf.string, name)
        function = tf.function(lengths, input_signature=[specification])
        folder = tmp_path / name
        tf.saved_model.save(tf.Module(), str(folder), {"serving_default": function})
        with pytest.raises(StepError, match=f"^signature 'serving_default' .* {message}"):
            run(tmp_path / "out", folder, file)
        assert not (tmp_path / "out").exists()


def test_labels_are_a_line_each_whatever_they_hold(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    (model / "labels.txt").write_bytes("日本\u2028語\nrose\x85 🌹\n".encode())
    assert find_model(str(model), embedding=False).facts.labels == ("日本\u2028語", "rose\x85 🌹")
    (model / "labels.txt").write_bytes(b"\xff\n")
    with pytest.raises(StepError, match=r"^cannot read .*labels\.txt: 'utf-8' codec can't decode"):
        find_model(str(model), embedding=False)


def test_what_cannot_be_read_is_not_called_unwritten(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("a" * 300)
    with pytest.raises(SettingsError, match=r"^cannot read .*aaa: File name too long$"):
        run(tmp_path / "out", model, long)
    (tmp_path / "test-0.tfrecord").touch()

    def failing(_: str) -> Any:
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(photographs, "read_records", failing)
    with pytest.raises(StepError, match=r"^cannot read .*\.tfrecord: Input/output error$"):
        run(tmp_path / "out", model, tmp_path / "*.tfrecord")


def test_names_that_no_table_can_hold(model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "up").symlink_to("..")
    for name in (b"\xff.jpg", b"a\nb.jpg", b"[1]*.jpg"):
        Path(os.fsdecode(bytes(folder) + b"/" + name)).write_bytes(photograph(1))
    found = run(folder / "out [1]*", model, folder)
    assert found.table()["image"].to_pylist() == [f"{folder}/[1]*.jpg", f"{folder}/a\nb.jpg"]
    (refused,) = read_rejections(found.folder / "rejected.jsonl")
    assert refused.row["image"] == f"{folder}/\\xff.jpg"
