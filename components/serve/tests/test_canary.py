"""A canary: a share of the requests, the same version for the same request, under load too."""

import concurrent.futures
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.serve.tests.server_process import Server, push
from components.serve.tests.small_model import b64, photograph
from components.serve.tests.tf_serving_client import predict, request
from darkroom.artifacts.push_log import Entry, PushLog

pytestmark = pytest.mark.slow

REQUESTS = [{"instances": [b64(photograph(seed))]} for seed in range(120)]


def share(base_dir: Path, percent: int) -> None:
    """Logs what `darkroom promote --traffic` does."""
    log = PushLog(str(base_dir))
    assert log.append(Entry("traffic", 4, 3, canary=4, traffic=percent))


def versions(server: Server) -> list[str]:
    """The numbers of the versions that answer."""
    states = server.get().json()["model_version_status"]
    return [state["version"] for state in states if state["state"] == "AVAILABLE"]


def answer(server: Server, request: Any) -> tuple[str, Any]:
    response = server.predict(request)
    assert response.status_code == 200
    return response.headers["x-model-version"], response.json()


@pytest.fixture
def canary(server: Server, base_dir: Path, next_model: Path) -> Iterator[None]:
    share(base_dir, 40)
    push(next_model, base_dir / ".canary-4")
    try:
        server.wait_until(lambda: versions(server) == ["3", "4"])
        yield
    finally:
        for name in (".canary-4", "4", "push_log"):
            shutil.rmtree(base_dir / name, ignore_errors=True)
        server.wait_until(lambda: versions(server) == ["3"])


def test_it_answers_its_share_and_always_the_same_requests(
    server: Server, base_dir: Path, canary: None
) -> None:
    answers = [answer(server, request) for request in REQUESTS]
    by_canary = [version == "4" for version, _ in answers]
    assert 0.25 < sum(by_canary) / len(by_canary) < 0.55
    assert [answer(server, request) for request in REQUESTS] == answers
    for version in ("3", "4"):
        path = f"/versions/{version}"
        number = next(n for n, (given, _) in enumerate(answers) if given == version)
        assert server.predict(REQUESTS[number], path).json() == answers[number][1]
    response = server.predict(REQUESTS[0], "/versions/9")
    assert response.status_code == 404
    assert response.json()["error"] == "version 9 is not served; version 3 and 4 are"
    share(base_dir, 100)
    server.wait_until(lambda: answer(server, REQUESTS[by_canary.index(False)])[0] == "4")
    share(base_dir, 0)
    server.wait_until(lambda: answer(server, REQUESTS[by_canary.index(True)])[0] == "3")


def test_v2_names_the_version_that_answered(server: Server, canary: None) -> None:
    named = {
        server.client.post(
            "/v2/models/flowers/infer",
            content=_binary_request(photograph(seed)),
            headers={"Inference-Header-Content-Length": str(len(_head(photograph(seed))))},
        ).json()["model_version"]
        for seed in range(40)
    }
    assert named == {"3", "4"}


def test_tf_servings_grpc_gets_its_share_and_knows_the_labels(server: Server, canary: None) -> None:
    asked = [request("flowers", image_bytes=[photograph(seed)]) for seed in range(40)]
    answered = [predict(server, each).model_spec.version.value for each in asked]
    assert set(answered) == {3, 4}
    assert [predict(server, each).model_spec.version.value for each in asked] == answered
    for label, number in {"stable": 3, "canary": 4}.items():
        asked[0].model_spec.version_label = label
        assert predict(server, asked[0]).model_spec.version.value == number


def test_it_is_promoted_and_rolled_back_under_load(
    server: Server, base_dir: Path, canary: None
) -> None:
    expected = {
        version: [server.predict(each, f"/versions/{version}").json() for each in REQUESTS[:20]]
        for version in ("3", "4")
    }
    done = False

    def load(worker: int) -> int:
        count = 0
        while not done:
            number = (worker + count) % 20
            version, given = answer(server, REQUESTS[number])
            assert_near(given, expected[version][number])
            count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        workers = [threads.submit(load, worker) for worker in range(4)]
        try:
            (base_dir / ".canary-4").rename(base_dir / "4")
            server.wait_until(lambda: versions(server) == ["4"])
            (base_dir / "4").rename(base_dir / ".rolled-back-4")
            server.wait_until(lambda: versions(server) == ["3"])
            (base_dir / ".rolled-back-4").rename(base_dir / ".canary-4")
            server.wait_until(lambda: versions(server) == ["3", "4"])
        finally:
            done = True
    assert all(worker.result() > 5 for worker in workers)


def assert_near(given: Any, expected: Any) -> None:
    """In a call with others, the last digits may differ."""
    for row, wanted in zip(given["predictions"], expected["predictions"], strict=True):
        assert row["label"] == wanted["label"]
        assert row["probabilities"] == pytest.approx(wanted["probabilities"], abs=1e-5)


def _head(image: bytes) -> bytes:
    size = len(image) + 4
    text = (
        '{"inputs": [{"name": "image_bytes", "shape": [1], "datatype": "BYTES", '
        f'"parameters": {{"binary_data_size": {size}}}}}]}}'
    )
    return text.encode()


def _binary_request(image: bytes) -> bytes:
    return _head(image) + len(image).to_bytes(4, "little") + image


def test_v2_gives_the_outputs_that_are_asked_for(server: Server) -> None:
    image = photograph(1)
    head = _head(image)[:-1] + b', "outputs": [{"name": "probabilities"}]}'
    response = server.client.post(
        "/v2/models/flowers/infer",
        content=head + len(image).to_bytes(4, "little") + image,
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    assert response.status_code == 200, response.text
    assert [output["name"] for output in response.json()["outputs"]] == ["probabilities"]


def test_metrics_tell_versions_and_statuses_apart(server: Server, canary: None) -> None:
    before = _metrics(server)
    answers = [answer(server, request)[0] for request in REQUESTS[:30]]
    assert server.predict({"instances": [b64(b"no image")]}, "/versions/4").status_code == 400
    after = _metrics(server)

    def more(name: str) -> float:
        return after.get(name, 0) - before.get(name, 0)

    labels = 'model="flowers",status="{}",version="{}"'
    by_version = [f'model="flowers",version="{version}"' for version in (3, 4)]
    for version in ("3", "4"):
        name = f"darkroom_requests_total{{{labels.format(200, version)}}}"
        assert more(name) == answers.count(version)
    assert more(f"darkroom_requests_total{{{labels.format(400, 4)}}}") == 1
    assert more('darkroom_answer_seconds_count{model="flowers",version="4"}') > 0
    calls = (more(f"darkroom_call_instances_count{{{label}}}") for label in by_version)
    assert sum(calls) >= 30


def _metrics(server: Server) -> dict[str, float]:
    lines = server.client.get("/metrics").text.splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}
