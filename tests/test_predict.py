"""Batch prediction from the command, and alone in a graph of its own."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from components.predict.settings import PredictSettings
from components.predict.tests.small_model import write_model, write_photographs
from darkroom.artifacts.batch_predictions import read_batch_predictions
from darkroom.errors import SettingsError
from pipeline.compiler import compile_pipeline, unreachable
from pipeline.config import load_config
from pipeline.preflight import check_inputs
from pipeline.targets import cluster_target
from tests.conftest import ROOT, Finished

pytestmark = pytest.mark.slow

VERTEX = "vertex://my-project/europe-west4/flowers?storage=gs://bucket/served"
DIGITS = str(ROOT / "configs" / "digits.yaml")
Command = Callable[..., Finished]


def test_photographs_from_the_command(command: Command, tmp_path: Path) -> None:
    served = tmp_path / "served"
    write_model(served / "2")
    files = write_photographs(tmp_path / "in", 3)
    files[1].write_bytes(b"no image")
    shown = command("predict", served, tmp_path / "in")
    assert shown.code == 0
    header, *lines = shown.output.splitlines()
    assert header == "label  probability  file"
    assert [line.split()[2] for line in lines] == [str(files[0]), str(files[2])]
    refusal = f"not_an_image: {files[1]}: no image format has these bytes"
    assert refusal in shown.error.splitlines()
    embedded = ("--json", "--set", "embedding=true")
    written = command("predict", served, tmp_path / "in", *embedded, "-o", tmp_path / "out")
    assert written.output == f"{tmp_path / 'out'}\n"
    predictions = read_batch_predictions(tmp_path / "out")
    assert (predictions.rows, predictions.model_version) == (2, 2)
    rows = [json.loads(line) for line in predictions.files[0].read_text().splitlines()]
    assert [row["image"] for row in rows] == [str(files[0]), str(files[2])]
    assert [f"{row['probability']:.3f}" for row in rows] == [line.split()[1] for line in lines]
    assert {len(row["embedding"]) for row in rows} == {48}


def test_a_files_name_is_one_line_and_moves_no_cursor(command: Command, tmp_path: Path) -> None:
    (file, bad) = write_photographs(tmp_path / "in", 2)
    file.rename(tmp_path / "in" / "a\nb\x1b[2J 語.jpg")
    bad.write_bytes(b"no image")
    bad.rename(tmp_path / "in" / "c\rd.jpg")
    shown = command("predict", write_model(tmp_path / "model"), tmp_path / "in")
    assert len(shown.output.splitlines()) == 2
    assert shown.output.endswith("a\\nb\\x1b[2J 語.jpg\n")
    assert "c\\rd.jpg: no image format" in shown.error


def test_what_is_wrong_is_said_before_anything_loads(command: Command, tmp_path: Path) -> None:
    for arguments, code, message in (
        (["none", "a.jpg"], 2, "there is no model at none"),
        (["none", "a.jpg", "--parquet"], 2, "say where to write: -o DIR"),
        (["none", "a.jpg", "--parquet", "--json"], 2, "give one of them"),
        (["none", "a.jpg", "--set", "embeding=true"], 2, "did you mean 'embedding'?"),
        (["none", "a.jpg", "-o", "gs://b/out"], 2, "name a folder of this machine"),
        ([VERTEX, "a.jpg"], 2, "Vertex writes to a bucket"),
        ([VERTEX, "a.jpg", "-o", "gs://b/out"], 2, "there is no file or folder a.jpg"),
        ([VERTEX, ".", "-o", "gs://b/out"], 2, "photographs of gs:// buckets alone, not ./"),
        ([VERTEX, "a.jpg", "-o", "gs://b/out", "--parquet"], 2, "JSON Lines alone, not parquet"),
        ([VERTEX, "a.jpg", "--set", "embedding=true"], 2, "has no 'embedding': leave it out"),
        ([VERTEX, "a.jpg", "--set", "pass_columns=[n]"], 2, "has no 'pass_columns': leave it"),
        (["vertex://p/here", "a.jpg"], 2, "'vertex://p/here' is not of the form vertex://PROJECT"),
    ):
        finished = command("predict", *arguments)
        assert finished.code == code
        assert message in finished.error
        assert len(finished.error.splitlines()) == 1


ALONE = ["job=predict", "predict.data=gs://b/arrived/*.jpg"]


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_alone_it_asks_what_serves(target: str, tmp_path: Path) -> None:
    config = load_config(DIGITS, overrides=[*ALONE, "push.destination=gs://b/served"])
    assert config.name == "digits-predict"
    compile_pipeline(config, cluster_target(target), tmp_path / "p.yaml")
    (pipeline, *_) = yaml.safe_load_all((tmp_path / "p.yaml").read_text())
    assert list(pipeline["root"]["dag"]["tasks"]) == ["predict"]
    assert pipeline["pipelineInfo"]["name"] == "digits-predict"
    settings = pipeline["root"]["inputDefinitions"]["parameters"]["predict"]["defaultValue"]
    assert settings["model"] == "gs://b/served"
    assert settings["data"] == ["gs://b/arrived/*.jpg"]


@pytest.mark.parametrize(
    "destination", [VERTEX, "kserve://there/flowers?storage=gs://bucket/served"]
)
def test_alone_it_asks_what_a_servers_versions_are_made_of(destination: str) -> None:
    config = load_config(DIGITS, overrides=[*ALONE, f"push.destination={destination}"])
    assert config.section(PredictSettings).model == "gs://bucket/served"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["job=predict"], "the config has no section 'predict'; set predict.data"),
        (["predict={}"], "setting 'predict.data' is missing"),
        (ALONE, "which model is asked\\? set push.destination, or predict.model"),
        ([*ALONE, "push.destination=archive:///a"], "archive:///a are no models that can be read"),
    ],
)
def test_a_config_that_does_not_say_enough(changes: list[str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        load_config(DIGITS, overrides=changes)


def test_photographs_that_are_not_there_or_not_reached(tmp_path: Path) -> None:
    config = load_config(DIGITS, overrides=[f"predict.data={tmp_path / 'none'}"])
    with pytest.raises(SettingsError, match=r"^setting 'predict\.data': .*none does not exist$"):
        check_inputs(config)
    config = load_config(DIGITS, overrides=[f"predict.data={tmp_path}"])
    check_inputs(config)
    assert f"predict.data {tmp_path} is a path of this machine" in "\n".join(unreachable(config))


def test_a_schedule_of_its_own(command: Command, tmp_path: Path) -> None:
    changes = ["--set", f"predict.data={tmp_path}", "--set", "push.destination=/served"]
    shown = command(
        *("schedule", DIGITS, "--target", "local", "--cron", "0 6 * * *"),
        *("--job", "predict", *changes),
    )
    assert shown.code == 0
    assert "digits-predict" in shown.output
    assert "--set job=predict" in shown.output
