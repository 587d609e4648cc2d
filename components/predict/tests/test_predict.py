"""Every row has a prediction or a reason, whoever does the work and however it is written."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components.predict import work as work_module
from components.predict.models import local
from components.predict.predict import predict, predict_here
from components.predict.settings import PredictSettings
from components.predict.tests.small_model import photograph, write_model, write_photographs
from darkroom.artifacts.batch_predictions import BatchPredictions, read_batch_predictions
from darkroom.artifacts.examples import KIND as EXAMPLES
from darkroom.artifacts.manifest import folder_digest, write_manifest
from darkroom.artifacts.rejected import RejectedError, Rejection, read_rejections
from darkroom.artifacts.tiles import TILE_COLUMNS, Box, assembled
from darkroom.errors import SettingsError, StepError
from darkroom.images.photograph import read_photograph
from darkroom.records.example_proto import FeatureValue, parsed_example, serialized_example
from darkroom.records.tfrecord import read_records, write_record
from darkroom.settings import validate_settings

pytestmark = pytest.mark.slow


def run(out: Path, model: Path | None, data: Any, **settings: Any) -> BatchPredictions:
    values = {"data": data, **settings}
    predict(validate_settings(PredictSettings, values), model, predictions=out)
    return read_batch_predictions(out)


def rejected(predictions: BatchPredictions) -> list[Rejection]:
    return list(read_rejections(predictions.folder / "rejected.jsonl"))


def probability_of_light(data: bytes) -> float:
    """What the small model makes of a photograph, by other means."""
    import tensorflow as tf

    pixels = tf.image.resize(tf.io.decode_image(data, 3, expand_animations=False), [4, 4]) / 255
    return float(tf.sigmoid(5.0 * (tf.reduce_mean(pixels) - 0.5)))


def test_each_row_says_what_the_model_says(model: Path, tmp_path: Path) -> None:
    files = write_photographs(tmp_path / "in", 20)
    lines = ["label,image,room", *(f"{n},{file},r{n}" for n, file in enumerate(files))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    found = run(tmp_path / "out", model, str(tmp_path / "t.csv"), batch_size=7)
    rows = found.table().to_pylist()
    assert [row["image"] for row in rows] == list(map(str, files))
    assert [row["room"] for row in rows] == [f"r{number}" for number in range(20)]
    assert [row["input_label"] for row in rows] == list(range(20))
    for row, file in zip(rows, files, strict=True):
        light = probability_of_light(file.read_bytes())
        assert row["probabilities"] == pytest.approx([1 - light, light], abs=1e-6)
        assert row["label"] == ("light" if light > 0.5 else "dark")
        assert row["label_index"] == int(light > 0.5)
        assert row["probability"] == pytest.approx(max(light, 1 - light), abs=1e-6)
        assert row["model_digest"] == folder_digest(model)
        assert row["model_version"] is None
    assert {row["label"] for row in rows} == {"dark", "light"}
    assert found.manifest["counts"] == {"predicted": 20, "rejected": 0}


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def bad_and_odd() -> dict[str, bytes]:
    """Files of all kinds: what ingest refuses, what it converts, and what it keeps."""
    whole = photograph(1)
    image = Image.open(io.BytesIO(whole))
    turned = image.getexif()
    turned[274] = 6
    return {
        "plain.jpg": whole,
        "turned.jpg": encoded(image, "JPEG", exif=turned),
        "tiff.tif": encoded(image, "TIFF"),
        "webp.webp": encoded(image, "WEBP"),
        "png.png": encoded(image, "PNG"),
        "empty.jpg": b"",
        "text.jpg": b"no image at all",
        "cut.jpg": whole[: len(whole) // 2],
        "closed.jpg": whole[: len(whole) // 2] + b"\xff\xd9",
        "zeros.jpg": whole[: len(whole) // 2] + bytes(len(whole) // 2),
        "cut.png": encoded(image, "PNG")[:-200],
        "narrow.png": encoded(Image.new("L", (500, 4)), "PNG"),
        "heic.jpg": b"\0\0\0\x18ftypheic" + bytes(40),
    }


def test_bad_photographs_have_ingests_reasons_and_cost_the_others_nothing(
    model: Path, tmp_path: Path
) -> None:
    files = bad_and_odd()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    names = [*files, "missing.jpg"]
    (tmp_path / "t.csv").write_text(
        "\n".join(["image,n", *(f"{n},{i}" for i, n in enumerate(names))])
    )
    found = run(tmp_path / "out", model, str(tmp_path / "t.csv"))
    expected = {"missing.jpg": "missing_file"}
    for name, data in files.items():
        try:
            read_photograph(data)
        except RejectedError as error:
            expected[name] = error.reason
    reasons = {str(each.row["image"]): each.reason for each in rejected(found)}
    assert reasons == expected
    assert len(expected) == 9
    assert found.manifest["rejected"] == {
        reason: list(expected.values()).count(reason) for reason in expected.values()
    }
    predicted = {row["image"]: row for row in found.table().to_pylist()}
    assert predicted.keys() == set(names) - expected.keys()
    for name, row in predicted.items():
        readable = files[name] if name != "tiff.tif" else read_photograph(files[name]).image_bytes
        if name != "webp.webp":
            assert row["probabilities"][1] == pytest.approx(
                probability_of_light(readable), abs=1e-5
            )


def test_a_photograph_that_only_the_model_cannot_read_is_rejected_alone(
    model: Path, tmp_path: Path
) -> None:
    """Examples are taken as they are: ingest has checked them, and another program may have not."""
    records: list[dict[str, FeatureValue]] = [
        {"image_bytes": photograph(number), "image_id": str(number), "label": "x"}
        for number in range(9)
    ]
    records[4]["image_bytes"] = b"no image"
    with (tmp_path / "test-00000.tfrecord").open("wb") as file:
        for record in records:
            write_record(file, serialized_example(record))
        write_record(file, b"no example")
    found = run(tmp_path / "out", model, str(tmp_path / "*.tfrecord"))
    assert found.table()["image_id"].to_pylist() == [str(n) for n in range(9) if n != 4]
    assert [each.reason for each in rejected(found)] == ["malformed_row", "corrupt"]
    assert rejected(found)[1].detail.startswith("the model cannot read it: ")


def test_what_is_printed_is_what_is_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work_module, "SHARD_ROWS", 8)
    write_photographs(tmp_path / "in", 20)
    (tmp_path / "in" / "0003.jpg").write_bytes(b"no image")
    written = run(tmp_path / "out", model, str(tmp_path / "in"))
    values = {"data": str(tmp_path / "in"), "model": str(model)}
    outcomes = list(predict_here(validate_settings(PredictSettings, values)))
    tables = [outcome.table for outcome in outcomes if outcome.table is not None]
    assert pa.concat_tables(tables).equals(written.table())
    assert [each for one in outcomes for each in one.rejections] == rejected(written)


def test_the_forms_say_the_same(model: Path, tmp_path: Path) -> None:
    data = [str(file) for file in write_photographs(tmp_path / "in", 5)]
    parquet = run(tmp_path / "parquet", model, data, embedding=True)
    expected = parquet.table().to_pylist()
    assert len(expected[0]["embedding"]) == 48
    (file,) = run(tmp_path / "jsonl", model, data, embedding=True, format="jsonl").files
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [{"model_version": None, **line} for line in lines] == expected
    (file,) = run(tmp_path / "csv", model, data, embedding=True, format="csv").files
    with file.open() as text:
        cells = list(csv.DictReader(text))
    assert [json.loads(row["probabilities"]) for row in cells] == [
        row["probabilities"] for row in expected
    ]
    assert [row["label"] for row in cells] == [row["label"] for row in expected]
    (file,) = run(tmp_path / "tfrecord", model, data, embedding=True, format="tfrecord").files
    examples = list(map(parsed_example, read_records(file)))
    assert [each["label"][0].decode() for each in examples] == [row["label"] for row in expected]
    assert np.array_equal([e["embedding"] for e in examples], [r["embedding"] for r in expected])


def test_the_version_that_serves_is_asked(model: Path, tmp_path: Path) -> None:
    data = str(write_photographs(tmp_path / "in", 1)[0])
    for number, sharpness in (("1", 5.0), ("3", 50.0)):
        write_model(tmp_path / "served" / number, sharpness)
    found = run(tmp_path / "out", tmp_path / "served", data)
    assert found.model_version == 3
    assert found.model_digest == folder_digest(tmp_path / "served" / "3")
    of_one = run(tmp_path / "one", tmp_path / "served" / "1", data)
    assert of_one.model_version == 1
    assert of_one.table()["probability"] != found.table()["probability"]
    pushed = tmp_path / "pushed"
    pushed.mkdir()
    write_manifest(pushed, "pushed", {"version": 7})
    settings = validate_settings(PredictSettings, {"data": data})
    predict(settings, model, pushed, predictions=tmp_path / "seven")
    assert read_batch_predictions(tmp_path / "seven").model_version == 7


def test_a_model_of_an_earlier_release_gives_the_same_embeddings(
    model: Path, tmp_path: Path
) -> None:
    """That one has no signature which gives both, and is asked twice."""
    data = str(write_photographs(tmp_path / "in", 5)[0].parent)
    before = write_model(tmp_path / "before", without=["with_embedding"])
    both, twice = (
        run(tmp_path / name, asked, data, embedding=True)
        for name, asked in (("both", model), ("twice", before))
    )
    for name in ("probabilities", "embedding"):
        values, expected = (each.table()[name].to_pylist() for each in (both, twice))
        assert np.abs(np.subtract(values, expected)).max() < 1e-5


def test_tiles_come_back_together(model: Path, tmp_path: Path) -> None:
    boxes = [Box(top, left, 20, 20) for top in (0, 10) for left in (0, 20)]
    folder = tmp_path / "examples"
    folder.mkdir()
    with (folder / "test-00000-of-00001.tfrecord").open("wb") as file:
        for source in ("a", "b"):
            for place, box in enumerate(boxes):
                features: dict[str, FeatureValue] = {
                    "image_bytes": photograph(place if source == "a" else 9),
                    "image_id": f"{source}{place}",
                    "image_path": f"{source}.png",
                    "label": "dark",
                    "height": box.height,
                    "width": box.width,
                    "tile_top": box.top,
                    "tile_left": box.left,
                    "source_image_id": source,
                }
                write_record(file, serialized_example(features))
    counts = {"train": 0, "valid": 0, "test": 8}
    content = {"labels": ["dark"], "counts": counts, "columns": TILE_COLUMNS}
    write_manifest(folder, EXAMPLES, content)
    found = run(tmp_path / "out", model, str(folder))
    table = found.table()
    import pyarrow.parquet as pq

    (maps,) = found.folder.glob("tile_maps-*.parquet")
    first, second = pq.read_table(maps).to_pylist()
    assert (first["source_image_id"], first["image"]) == ("a", "a.png")
    assert second["source_image_id"] == "b"
    expected = assembled(boxes, table["probabilities"].to_pylist()[:4])
    assert first["row_edges"] == expected.row_edges.tolist() == [0, 10, 20, 30]
    assert first["column_edges"] == expected.column_edges.tolist()
    assert np.array_equal(first["probabilities"], expected.probabilities.ravel())


def test_what_is_wrong_is_one_line_and_leaves_nothing(model: Path, tmp_path: Path) -> None:
    (file,) = write_photographs(tmp_path / "in", 1)
    for settings, asked, message in (
        ({}, tmp_path / "none", r"^there is no model at .*none: give a model's folder"),
        ({}, None, r"^setting 'predict\.model' is missing"),
        (
            {"embedding": True},
            write_model(tmp_path / "bare", without=["embedding", "with_embedding"]),
            "no signature",
        ),
        ({"model": "http://there/flowers"}, None, r"is no model's address; expected http://"),
        ({"beam_options": ["--runner=DataflowRunner"]}, model, r"--temp_location=FOLDER"),
    ):
        with pytest.raises((SettingsError, StepError), match=message) as raised:
            predict(
                validate_settings(PredictSettings, {"data": str(file), **settings}),
                asked,
                predictions=tmp_path / "out",
            )
        assert "\n" not in str(raised.value)
        assert not (tmp_path / "out").exists()


def test_predictions_that_exist_are_kept_unless_told_otherwise(model: Path, tmp_path: Path) -> None:
    one, other = map(str, write_photographs(tmp_path / "in", 2))
    before = run(tmp_path / "out", model, one)
    with pytest.raises(SettingsError, match=r"holds predictions already: .*--overwrite"):
        run(tmp_path / "out", model, other)
    assert read_batch_predictions(tmp_path / "out").manifest == before.manifest
    after = run(tmp_path / "out", model, other, overwrite=True)
    assert after.table()["image"].to_pylist() == [other]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_something_else_is_left_alone(
    model: Path, tmp_path: Path, overwrite: bool
) -> None:
    (file,) = write_photographs(tmp_path / "in", 1)
    for place in (tmp_path / "in", model):
        before = sorted(place.iterdir())
        with pytest.raises(SettingsError, match=r"^name another folder: .*"):
            run(place, model, str(file), overwrite=overwrite)
        assert sorted(place.iterdir()) == before
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty", model, str(file)).rows == 1


def test_one_model_a_process(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    loads: list[str] = []
    load = tf.saved_model.load

    def counted(folder: str) -> Any:
        loads.append(folder)
        return load(folder)

    monkeypatch.setattr(tf.saved_model, "load", counted)
    monkeypatch.setattr(local, "_held", {})
    for _ in range(3):
        local.find_model(str(model), embedding=False).ask([photograph(1)])
    assert loads == [str(model)]
