"""Runs on Kubeflow: over HTTP, against a server that holds the client to the API's schemas."""

from pathlib import Path

import kfp
import pytest

from darkroom.errors import SettingsError, StepError
from pipeline.settings.cluster import KubeflowSettings
from pipeline.target import ENDED, Run
from pipeline.targets.kubeflow.client import Kubeflow
from pipeline.tests.kubeflow_server import TOKEN, KubeflowServer


def submitted(kubeflow: Kubeflow, package: Path, caching: bool = True) -> Run:
    return kubeflow.submit(package, "digits", {"data": "/gcs/digits"}, caching)


def ended(kubeflow: Kubeflow, run: Run) -> Run:
    for _ in range(20):
        run = kubeflow.run(run.id)
        if run.state in ENDED:
            return run
    raise AssertionError(f"still {run.state}")


def states(run: Run) -> dict[str, str]:
    return {step.name: step.state for step in run.steps}


def test_a_run_goes_its_way(kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer) -> None:
    run = submitted(kubeflow, kfp_package)
    assert run.state == "pending"
    assert run.name.startswith("digits-2")
    assert run.address == f"{server.url}/#/runs/details/{run.id}"

    first = kubeflow.run(run.id)
    assert first.state == "running"
    assert first.finished is None
    assert [step.name for step in first.steps] == server.runs[run.id].steps
    assert first.steps[-1].name == "push"
    assert first.steps[0].state == "running"
    assert states(first)["push"] == "pending"
    assert first.steps[0].finished is None

    last = ended(kubeflow, run)
    assert last.state == "succeeded"
    assert set(states(last).values()) == {"succeeded"}
    assert last.finished is not None
    assert all(
        step.started and step.finished and step.finished > step.started for step in last.steps
    )


def test_cached_and_left_out_steps_are_told_apart(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    server.outcomes |= {"ingest": "cached", "transform": "cached"}
    server.outcomes["push"] = "left_out"
    run = ended(kubeflow, submitted(kubeflow, kfp_package))
    ends = ["cached", "cached", "succeeded", "succeeded", "succeeded", "skipped"]
    assert list(states(run).values())[-6:] == ends
    assert run.state == "succeeded"


def test_a_failure_names_its_step_and_a_retry_keeps_the_rest(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    server.outcomes["train"] = "fails"
    run = ended(kubeflow, submitted(kubeflow, kfp_package))
    assert run.state == "failed"
    ends = ["succeeded", "succeeded", "failed", "skipped", "skipped", "skipped"]
    assert list(states(run).values())[-6:] == ends
    assert {step.name: step.error for step in run.steps if step.error} == {
        "train": "train: Error (exit code 1)"
    }

    server.outcomes["train"] = "succeeds"
    again = kubeflow.retry(run.id)
    assert again.id == run.id
    assert states(again)["ingest"] == "succeeded"
    assert ended(kubeflow, again).state == "succeeded"
    with pytest.raises(StepError, match="succeeded: only one that failed"):
        kubeflow.retry(run.id)


def test_a_step_s_second_attempt_makes_good_the_first(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    server.outcomes["train"] = "retries"
    run = submitted(kubeflow, kfp_package)
    while states(run)["train"] != "running":
        run = kubeflow.run(run.id)
    assert not any(step.error for step in run.steps)
    assert states(ended(kubeflow, run))["train"] == "succeeded"


def test_a_cancelled_run_ends_and_can_be_tried_again(kubeflow: Kubeflow, kfp_package: Path) -> None:
    run = submitted(kubeflow, kfp_package)
    kubeflow.run(run.id)
    kubeflow.cancel(run.id)
    assert ended(kubeflow, run).state == "cancelled"
    with pytest.raises(StepError, match="has ended already: it was cancelled"):
        kubeflow.cancel(run.id)
    assert ended(kubeflow, kubeflow.retry(run.id)).state == "succeeded"


def test_an_image_that_does_not_exist_is_named(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    server.outcomes["train"] = "no_image"
    run = submitted(kubeflow, kfp_package)
    for _ in range(10):
        run = kubeflow.run(run.id)
    assert run.state == "running"
    (step,) = (step for step in run.steps if step.error)
    assert (step.name, step.state) == ("train", "running")
    assert "darkroom-train:0.1.0 cannot be pulled (ImagePullBackOff" in step.error
    assert "cluster.images.train" in step.error

    # A server that says nothing in the task says it where its log would be.
    server.outcomes["train"] = "succeeds"
    server.logs["train"] = (
        '{"error_message":"container \\"main\\" is waiting to start: trying and failing to pull '
        'image","error_details":""}'
    )
    with pytest.raises(StepError, match=r"darkroom-train:0\.1\.0 cannot be pulled"):
        kubeflow.log_tail(run.id, "train", 5)


def test_the_last_lines_of_a_log(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    server.logs["ingest"] = "".join(f"line {number} é\n" for number in range(50_000))
    server.logs["transform"] = "of another step\n"
    run = submitted(kubeflow, kfp_package)
    assert kubeflow.log_tail(run.id, "ingest", 2) == []
    while states(kubeflow.run(run.id))["train"] == "pending":
        pass
    server.runs[run.id].nodes.pop("train")
    assert kubeflow.log_tail(run.id, "ingest", 2) == ["line 49998 é", "line 49999 é"]
    assert kubeflow.log_tail(run.id, "transform", 2) == ["of another step"]
    assert kubeflow.log_tail(run.id, "train", 2) == []


@pytest.mark.slow
def test_runs_are_listed_by_pipeline_newest_first(
    kubeflow: Kubeflow, kfp_package: Path, tmp_path: Path
) -> None:
    assert kubeflow.runs("digits", 5) == []
    ids = [submitted(kubeflow, kfp_package).id for _ in range(4)]
    other = tmp_path / "other.yaml"
    other.write_text(kfp_package.read_text().replace("name: digits\n", "name: other\n"))
    foreign = submitted(kubeflow, other)
    # More runs than a page holds.
    ids += [submitted(kubeflow, kfp_package).id for _ in range(60)]
    assert [run.id for run in kubeflow.runs("digits", 3)] == ids[:-4:-1]
    assert len(kubeflow.runs("digits", 1000)) == 64
    assert [run.id for run in kubeflow.runs("other", 10)] == [foreign.id]


def test_without_caching_every_task_says_so(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer
) -> None:
    submitted(kubeflow, kfp_package)
    submitted(kubeflow, kfp_package, caching=False)
    with_cache, without = (str(run.body["pipeline_spec"]) for run in server.runs.values())
    assert with_cache.count("'enableCache': True") >= 4
    assert without.count("'enableCache': True") == 0
    assert without.count("'cachingOptions': {}") >= 5


def test_a_platform_s_settings_travel_beside_the_pipeline(
    kubeflow: Kubeflow, kfp_package: Path, server: KubeflowServer, tmp_path: Path
) -> None:
    package = tmp_path / "two.yaml"
    platform = "platforms:\n  kubernetes:\n    deploymentSpec:\n      executors: {}\n"
    package.write_text(f"{kfp_package.read_text()}---\n{platform}")
    run = submitted(kubeflow, package)
    body = server.runs[run.id].body["pipeline_spec"]
    assert body.keys() == {"pipeline_spec", "platform_spec"}
    assert [step.name for step in ended(kubeflow, run).steps] == server.runs[run.id].steps
    assert [found.id for found in kubeflow.runs("digits", 5)] == [run.id]


def test_a_parameter_that_the_pipeline_does_not_have(kubeflow: Kubeflow, kfp_package: Path) -> None:
    with pytest.raises(SettingsError, match="no parameter 'trian'; did you mean 'train'"):
        kubeflow.submit(kfp_package, "digits", {"trian": {}}, True)


def test_the_settings_reach_the_run(
    kubeflow_settings: KubeflowSettings, kfp_package: Path, server: KubeflowServer
) -> None:
    server.namespace = "vision"
    given = {"namespace": "vision", "pipeline_root": "s3://b/root", "service_account": "trainer"}
    kubeflow = Kubeflow(kubeflow_settings.model_copy(update={**given, "experiment": "flowers"}))
    run = submitted(kubeflow, kfp_package)
    body = server.runs[run.id].body
    assert body["service_account"] == "trainer"
    assert body["runtime_config"] == {
        "parameters": {"data": "/gcs/digits"},
        "pipeline_root": "s3://b/root",
    }
    assert [e["display_name"] for e in server.experiments] == ["flowers"]
    submitted(kubeflow, kfp_package)
    assert len(server.experiments) == 1


@pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
def test_the_server_is_one_that_kfp_s_own_client_can_talk_to(
    server: KubeflowServer, kfp_package: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    client = kfp.Client(host=server.url, existing_token=TOKEN)
    experiment = client.create_experiment("theirs")
    run = client.run_pipeline(experiment.experiment_id, "a run", str(kfp_package))
    assert client.get_run(run.run_id).state == "RUNNING"
