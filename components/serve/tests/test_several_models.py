"""Several models by one server: each has its name, versions and samples, and none harms another."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.serve.command_line import read_settings
from components.serve.tests.server_process import Server, free_port, push, start_models
from components.serve.tests.small_model import b64, photograph
from components.serve.tests.tf_serving_client import arrays, predict, request
from darkroom.errors import SettingsError

pytestmark = pytest.mark.slow

IMAGE = {"instances": [b64(photograph(5))]}


@pytest.fixture(scope="module")
def models(model: Path, next_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two base directories, and settings that name them."""
    folder = tmp_path_factory.mktemp("several")
    push(model, folder / "flowers" / "3")
    push(next_model, folder / "digits" / "1")
    places = "".join(f"  {name}: {folder / name}\n" for name in ("flowers", "digits"))
    samples = f"sample:\n  folder: {folder / 'samples'}\n  rate: 1\n"
    settings = f"models:\n{places}poll_seconds: 0.2\ngrpc_port: {free_port()}\n{samples}"
    (folder / "server.yaml").write_text(settings)
    return folder


@pytest.fixture(scope="module")
def several(models: Path) -> Iterator[Server]:
    file = str(models / "server.yaml")
    server = start_models("flowers", models / "log", "--settings", file)
    server.grpc_port = read_settings(file, None, None, {}).grpc_port
    try:
        server.wait_until(lambda: ready(server))
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)


def ready(server: Server) -> bool:
    return server.state() is not None and server.client.get("/v2/health/ready").status_code == 200


def other(server: Server) -> Server:
    """The same server, asked for the other model."""
    return Server(server.process, server.port, "digits", server.log, server.grpc_port)


def test_each_has_its_name_at_every_door(several: Server, models: Path) -> None:
    digits, image = other(several), photograph(5)
    answers = {}
    for server, version in ((several, 3), (digits, 1)):
        response = server.predict(IMAGE)
        assert response.headers["x-model-version"] == str(version)
        answers[server.name] = response.json()["predictions"][0]["probabilities"]
        over_grpc = predict(server, request(server.name, image_bytes=[image]))
        assert over_grpc.model_spec.version.value == version
        given = arrays(over_grpc)["probabilities"][0].tolist()
        assert given == pytest.approx(answers[server.name], abs=1e-6)
        v2 = server.client.get(f"/v2/models/{server.name}")
        assert v2.json()["name"] == server.name
        assert server.client.get(f"/v2/models/{server.name}/ready").status_code == 200
        assert server.get("/metadata").json()["model_spec"]["version"] == str(version)
    assert answers["flowers"] != answers["digits"]
    unknown = several.client.get("/v1/models/digit")
    assert unknown.json() == {"error": "unknown model 'digit'; did you mean 'digits'?"}
    metrics = several.client.get("/metrics").text
    assert 'darkroom_requests_total{model="digits",status="200",version="1"}' in metrics
    assert 'darkroom_requests_total{model="flowers",status="200",version="3"}' in metrics
    assert 'darkroom_call_instances_count{model="digits",version="1"}' in metrics
    assert 'darkroom_queue_seconds_count{model="flowers",version="3"}' in metrics
    several.wait_until(lambda: (models / "samples" / "digits" / "samples.jsonl").stat().st_size)
    for name in answers:
        line = (models / "samples" / name / "samples.jsonl").read_text().splitlines()[0]
        assert json.loads(line)["model"] == name


def test_a_bad_push_of_one_leaves_the_other_alone(several: Server, models: Path) -> None:
    digits = other(several)
    (models / "digits" / "2").mkdir()
    (models / "digits" / "2" / "saved_model.pb").write_bytes(b"no saved model")
    push(models / "flowers" / "3", models / "flowers" / "4")
    try:
        several.wait_until(lambda: several.serving() == "4")
        several.wait_until(lambda: "digits version 2 cannot be loaded" in several.log.read_text())
        assert digits.predict(IMAGE).headers["x-model-version"] == "1"
        assert ready(several)
    finally:
        shutil.rmtree(models / "digits" / "2")
        shutil.rmtree(models / "flowers" / "4")
        several.wait_until(lambda: several.serving() == "3")


def test_the_server_does_not_start_without_one_of_them(model: Path, tmp_path: Path) -> None:
    for name in ("bad", "worse"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_bytes(b"no saved model")
    places = {"bad": str(tmp_path / "bad"), "flowers": str(model), "worse": str(tmp_path / "worse")}
    settings = json.dumps({"models": places})
    server = start_models("flowers", tmp_path / "log", "--settings", settings)
    assert server.process.wait(60) == 1
    lines = server.log.read_text().splitlines()
    assert [line.split(" cannot be loaded")[0] for line in lines if "warning" in line] == [
        "[serve] warning: bad version 1",
        "[serve] warning: worse version 1",
    ]
    expected = f"no version of the model in {places['bad']}, {places['worse']} can be loaded"
    assert lines[-1] == f"[serve] error: {expected}"


@pytest.mark.parametrize(
    ("model_dir", "name", "settings", "message"),
    [
        (None, None, {}, "no model to serve: give MODEL_DIR, or `models` in the settings"),
        ("models/a", None, {"models": {"b": "models/b"}}, "not both"),
        (None, "a", {"models": {"b": "models/b"}}, "--name is of a MODEL_DIR"),
    ],
)
def test_models_are_named_once(
    model_dir: str | None, name: str | None, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        read_settings(json.dumps(settings), model_dir, name, {})


def test_a_single_one_is_a_map_of_one(tmp_path: Path) -> None:
    place = str(tmp_path / "flowers" / "3")
    assert read_settings("{}", place, None, {}).models == {"flowers": place}
    given = read_settings('{"port": 1}', place, "roses", {"port": 2, "host": None})
    assert (given.models, given.port, given.host) == ({"roses": place}, 2, "127.0.0.1")
