"""Shadow traffic: the canary's answers are compared, never sent, and no answer waits for them."""

import dataclasses
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.serve import shadow as module
from components.serve.shadow import Shadow, ShadowedCalls
from components.serve.telemetry.metrics import note_shadow
from components.serve.tests.server_process import Server, push, start_server
from components.serve.tests.small_model import b64, photograph
from components.serve.versions.loaded_model import LoadedModel, load_model
from darkroom.artifacts.model_repository import Version
from darkroom.artifacts.push_log import Entry, PushLog

pytestmark = pytest.mark.slow

IMAGES = [photograph(seed) for seed in range(30)]


@pytest.fixture
def shadowed(model: Path, next_model: Path, tmp_path: Path) -> Iterator[Server]:
    """A server whose canary gets no share of the requests, and the shadow of all."""
    base_dir = tmp_path / "flowers"
    push(model, base_dir / "3")
    push(next_model, base_dir / ".canary-4")
    assert PushLog(str(base_dir)).append(Entry("traffic", 4, 3, canary=4, traffic=0))
    server = start_server(base_dir, "flowers", tmp_path / "log", "--settings", '{"shadow": 1}')
    try:
        server.wait_until(lambda: "version 4 gets 0 %" in server.log.read_text())
        server.wait_until(lambda: server.client.get("/v2/health/ready").status_code == 200)
        yield server
    finally:
        server.process.terminate()
        server.process.wait(30)


def shadow_metrics(server: Server) -> dict[str, float]:
    lines = server.client.get("/metrics").text.splitlines()
    found = [line.rpartition(" ") for line in lines if line.startswith("darkroom_shadow")]
    return {name: float(value) for name, _, value in found if "_created" not in name}


def test_the_canarys_answers_are_compared_and_not_sent(
    shadowed: Server, model: Path, next_model: Path
) -> None:
    for image in IMAGES:
        response = shadowed.predict({"instances": [b64(image)]})
        assert response.headers["x-model-version"] == "3"
        time.sleep(0.02)
    assert shadowed.predict({"instances": [b64(b"no photograph")]}).status_code == 400
    name = 'darkroom_shadow_total{{model="flowers",result="{}",version="4"}}'

    def count(result: str) -> float:
        return shadow_metrics(shadowed).get(name.format(result), 0)

    shadowed.wait_until(lambda: count("same") + count("other") == len(IMAGES))
    answers = []
    for folder in (model, next_model):
        signature = load_model(Version(1, str(folder))).signatures["serving_default"]
        import tensorflow as tf

        answers.append(
            {k: v.numpy() for k, v in signature(image_bytes=tf.constant(IMAGES)).items()}
        )
    one, other = answers
    assert count("same") == (one["label"] == other["label"]).sum()
    distances = np.abs(one["probabilities"] - other["probabilities"]).max(axis=1)
    metrics = shadow_metrics(shadowed)
    labels = 'model="flowers",version="4"'
    assert metrics[f"darkroom_shadow_distance_sum{{{labels}}}"] == pytest.approx(
        distances.sum(), abs=1e-3
    )
    assert metrics[f"darkroom_shadow_distance_count{{{labels}}}"] == len(IMAGES)


@dataclasses.dataclass
class Followed:
    """What serves and the canary, without a folder of versions."""

    current: LoadedModel
    canary: LoadedModel | None


class Answering:
    """Calls that answer at once."""

    def call(self, _: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        count = len(inputs["image_bytes"])
        rows = np.tile(np.array([0.25, 0.5, 0.25], np.float32), (count, 1))
        return {"label": np.array([b"rose"] * count, object), "probabilities": rows}


@pytest.fixture(scope="module")
def followed(model: Path, next_model: Path) -> Followed:
    current, canary = (load_model(Version(1, str(folder))) for folder in (model, next_model))
    return Followed(current, dataclasses.replace(canary, version=Version(2, str(next_model))))


def noted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float | None]]:
    results: list[tuple[str, float | None]] = []

    def note(model: str, version: int, result: str, distance: float | None) -> None:
        assert (model, version) == ("flowers", 2)
        results.append((result, distance))
        note_shadow(model, version, result, distance)

    monkeypatch.setattr(module, "note_shadow", note)
    return results


def ask(shadow: Shadow, model: LoadedModel, images: list[bytes]) -> None:
    inputs = {"image_bytes": np.array(images, object)}
    signature = model.signatures["serving_default"]
    ShadowedCalls(Answering(), shadow, model).call(signature, inputs)


def wait_for(results: list[Any], count: int) -> None:
    deadline = time.monotonic() + 30
    while len(results) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_busy_server_drops_them(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_WAIT", 0.3)
    results = noted(monkeypatch)
    shadow = Shadow(followed, "flowers", 1.0, lambda: False)  # type: ignore[arg-type]
    began = time.monotonic()
    for _ in range(100):
        ask(shadow, followed.current, IMAGES[:1])
    assert time.monotonic() - began < 0.2
    wait_for(results, 100)
    assert results == [("dropped", None)] * 100


def test_a_canary_that_fails_is_counted(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = noted(monkeypatch)
    shadow = Shadow(followed, "flowers", 1.0, lambda: True)  # type: ignore[arg-type]
    ask(shadow, followed.current, [b"no photograph"])
    wait_for(results, 1)
    assert results == [("failed", None)]
    ask(shadow, followed.current, IMAGES)
    wait_for(results, 9)
    assert {result for result, _ in results[1:]} <= {"same", "other"}
    assert len(results) == 9  # the first eight photographs of a request


def test_only_the_serving_versions_answers_and_their_share(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = noted(monkeypatch)
    assert followed.canary is not None
    none = Shadow(Followed(followed.current, None), "flowers", 1.0, lambda: True)  # type: ignore[arg-type]
    ask(none, followed.current, IMAGES[:1])
    shadow = Shadow(followed, "flowers", 0.2, lambda: True)  # type: ignore[arg-type]
    shadow._random.seed(3)
    ask(shadow, followed.canary, IMAGES[:1])
    for image in IMAGES * 2:
        ask(shadow, followed.current, [image])
        time.sleep(0.02)
    time.sleep(0.5)
    assert 4 <= len(results) <= 22
