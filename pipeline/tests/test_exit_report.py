"""Every run reports its end: by an exit handler on a cluster, by the same function here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import dsl, local

from components.notify.step import notify
from darkroom.artifacts.evaluation import KIND
from darkroom.artifacts.manifest import write_manifest
from darkroom.channels.tests.servers import WebServer, serving
from pipeline.compiler import compile_pipeline
from pipeline.config import Config, load_config
from pipeline.targets import cluster_target
from pipeline.targets.local.run import report_run

ROOT = Path(__file__).parent.parent.parent
NOTIFY = "notify={webhook: HOOK}"


def config(*settings: str) -> Config:
    return load_config(str(ROOT / "configs" / "digits.yaml"), overrides=settings)


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    server = WebServer(200)
    monkeypatch.setenv("HOOK", server.address)
    yield from serving(server)


def compiled(target: str, folder: Path, *settings: str) -> dict[str, Any]:
    file = folder / f"{target}.yaml"
    compile_pipeline(config(*settings), cluster_target(target), file)
    return next(yaml.safe_load_all(file.read_text()))


@pytest.mark.parametrize("target", ["kfp", "vertex"])
def test_the_report_follows_the_whole_graph(target: str, tmp_path: Path) -> None:
    host = "cluster.kfp.host=https://kubeflow.example/pipeline"
    large = "cluster.resources.default={cpu: '8', memory: 64Gi}"
    document = compiled(target, tmp_path, NOTIFY, host, large)
    tasks = document["root"]["dag"]["tasks"]
    assert set(tasks) == {"exit-handler-1", "notify"}
    graph = document["components"][tasks["exit-handler-1"]["componentRef"]["name"]]["dag"]["tasks"]
    assert {"ingest", "transform", "train", "evaluate"} <= set(graph)
    task = tasks["notify"]
    assert task["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert task["cachingOptions"] == {}
    given = task["inputs"]["parameters"]
    assert given["status"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}
    # Kubeflow fills it in only where it is the whole text.
    assert given["run_id"] == {"runtimeValue": {"constant": "{{$.pipeline_job_uuid}}"}}
    executor = document["deploymentSpec"]["executors"]["exec-notify"]["container"]
    assert executor["image"] == "darkroom-notify:0.1.0"
    assert "resources" not in executor


def test_a_config_without_the_section_has_no_such_step(tmp_path: Path) -> None:
    document = compiled("kfp", tmp_path)
    assert "exec-notify" not in document["deploymentSpec"]["executors"]
    assert "ingest" in document["root"]["dag"]["tasks"]


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def body(fails: bool) -> None:
    if fails:
        raise SystemExit(1)


@pytest.mark.slow
@pytest.mark.parametrize(("fails", "result"), [(False, "succeeded"), (True, "failed")])
def test_the_step_runs_whatever_became_of_the_others(
    fails: bool, result: str, web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = dsl.component(notify, base_image="python:3.11", install_kfp_package=False)

    @dsl.pipeline(name="reported")
    def reported(fails: bool) -> None:
        task = step(pipeline="digits", run_id="", host="", settings={"webhook": "HOOK"})
        with dsl.ExitHandler(task):
            body(fails=fails)

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner, pipeline_root=str(tmp_path), raise_on_error=False)
    reported(fails=fails)
    assert [message["result"] for message in web.messages] == [result]


def run_json(folder: Path, **values: Any) -> dict[str, Any]:
    run = {"status": "succeeded", "blessed": True, "pushed": "/served/1", "folder": str(folder)}
    return run | {"metrics": {"accuracy": 0.99}, "artifacts": {"report": "/r.html"}} | values


def test_a_run_here_is_reported_too(web: WebServer, tmp_path: Path) -> None:
    report_run(config(NOTIFY), run_json(tmp_path))
    failed: dict[str, Any] = {
        "status": "failed",
        "error": "step train failed",
        "pushed": None,
        "artifacts": {},
    }
    report_run(config(NOTIFY), run_json(tmp_path, **failed))
    evaluation = tmp_path / "evaluation"
    evaluation.mkdir()
    content = {"labels": [], "count": 3, "metrics": {}, "blessed": False, "reasons": ["too low"]}
    write_manifest(evaluation, KIND, content)
    refused = {"blessed": False, "pushed": None, "artifacts": {"evaluation": str(evaluation)}}
    report_run(config(NOTIFY), run_json(tmp_path, **refused))
    pushed, failure, refusal = web.messages
    assert (pushed["text"], pushed["report"], pushed["pushed"]) == (
        "digits: succeeded",
        "/r.html",
        "/served/1",
    )
    assert (failure["result"], failure["error"]) == ("failed", "step train failed")
    assert (refusal["result"], refusal["reasons"]) == ("not_blessed", ["too low"])


def test_nobody_is_told_where_nobody_is_named(web: WebServer, tmp_path: Path) -> None:
    report_run(config(), run_json(tmp_path))
    assert web.messages == []
