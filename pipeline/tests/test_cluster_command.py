"""The verbs for runs on a cluster, as a shell sees them."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import watch as following
from pipeline.cli.main import main
from pipeline.settings.cluster import KubeflowSettings, VertexSettings
from pipeline.tests.kubeflow_server import KubeflowServer

ROOT = Path(__file__).parents[2]


class Shell:
    """Calls `darkroom` with a config that leads to a stand-in.

    Args:
        cluster: The config's section of that name.
        config: The config's file, to be written.
        capsys: What is printed.
        monkeypatch: For the command line.
    """

    def __init__(
        self,
        cluster: dict[str, Any],
        config: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        text = (ROOT / "configs" / "digits.yaml").read_text()
        config.write_text(f"{text}\n{yaml.safe_dump({'cluster': cluster})}")
        self.config, self._target = str(config), next(iter(cluster))
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, verb: str, *arguments: str, debug: bool = False) -> tuple[int, str, str]:
        before = ["--debug"] if debug else []
        self._monkeypatch.setattr(sys, "argv", ["darkroom", *before, *self._line(verb, *arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *self._capsys.readouterr()

    def start(self, verb: str, *arguments: str) -> subprocess.Popen[str]:
        """The same in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli.main", *self._line(verb, *arguments)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _line(self, verb: str, *arguments: str) -> list[str]:
        return [verb, self.config, *arguments, "--target", self._target]


@pytest.fixture
def darkroom(
    kubeflow_settings: KubeflowSettings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    monkeypatch.setattr(following, "FIRST_INTERVAL", 0.01)
    monkeypatch.setattr(following, "INTERVAL", 0.02)
    cluster = {"kfp": kubeflow_settings.model_dump(exclude_defaults=True)}
    return Shell(cluster, tmp_path / "digits.yaml", capsys, monkeypatch)


def test_a_run_is_submitted_and_followed(darkroom: Shell, server: KubeflowServer) -> None:
    server.outcomes |= {"ingest": "cached", "push": "left_out"}
    code, out, err = darkroom("submit", "--wait", "--data", "/gcs/b/digits", "--no-cache")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["run       run-0", f"address   {server.url}/#/runs/details/run-0"]
    assert "[ingest] cached" in lines
    assert "[train] running" in lines
    assert "[train] succeeded in 00:10" in lines
    assert lines[-2:] == ["[push] skipped", "run succeeded"]
    body = server.runs["run-0"].body
    assert body["runtime_config"]["parameters"]["data"] == "/gcs/b/digits"
    assert body["runtime_config"]["parameters"]["train"]["epochs"] == 12
    assert str(body["pipeline_spec"]).count("'enableCache': True") == 0


def test_a_failed_run_is_shown_and_tried_again(darkroom: Shell, server: KubeflowServer) -> None:
    server.outcomes["train"] = "fails"
    server.logs["train"] = "Epoch 3\n[train] error: the loss is not a number\n"
    code, out, err = darkroom("submit", "--wait")
    assert code == 1
    assert out.endswith(
        "[train] failed in 00:10\n    Epoch 3\n    [train] error: the loss is not a number\n"
        "[champion] skipped\n[evaluate] skipped\n[push] skipped\nrun failed\n"
    )
    assert err == "[darkroom] error: run run-0 failed; train: train: Error (exit code 1)\n"

    code, out, _ = darkroom("runs")
    assert code == 0
    assert out.startswith("run-0  failed     2026-11-22")
    server.outcomes.clear()
    assert darkroom("retry", "run-0", "--wait")[0] == 0
    assert darkroom("cancel", "run-0") == (
        1,
        "",
        "[darkroom] error: run run-0 has ended already: it succeeded\n",
    )


@pytest.mark.slow
def test_ctrl_c_leaves_the_run_going(darkroom: Shell, server: KubeflowServer) -> None:
    server.outcomes["train"] = "goes_on"
    process = darkroom.start("submit", "--wait")
    assert process.stdout is not None
    for line in process.stdout:
        if line == "[train] running\n":
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    hint = f"darkroom cancel {darkroom.config} run-0 --target kfp"
    assert err == f"\nthe run is still running; to cancel it: {hint}\n"
    assert server.runs["run-0"].state == "RUNNING"
    assert darkroom("cancel", "run-0") == (0, "cancelled run-0\n", "")
    assert server.runs["run-0"].state == "CANCELING"


def test_a_wait_for_an_image_that_does_not_exist_ends(
    darkroom: Shell, server: KubeflowServer
) -> None:
    server.outcomes["ingest"] = "no_image"
    code, _, err = darkroom("submit", "--wait")
    assert code == 1
    assert (
        "run run-0 cannot proceed; ingest: the image darkroom-ingest:0.1.0 cannot be pulled" in err
    )
    assert err.endswith(f"darkroom cancel {darkroom.config} run-0 --target kfp\n")
    assert err.count("\n") == 1


def test_errors_are_one_line_and_a_traceback_if_asked_for(darkroom: Shell) -> None:
    code, out, err = darkroom("retry", "run-7")
    assert (code, out) == (1, "")
    assert err.startswith("[darkroom] error: there is no run run-7 at http")
    assert err.count("\n") == 1
    code, _, err = darkroom("retry", "run-7", debug=True)
    assert code == 1
    assert "Traceback" in err
    assert "ApiException" in err
    code, _, err = darkroom("submit", "--set", "cluster.kfp.host=''")
    assert code == 2
    assert "'cluster.kfp.host' is missing" in err


@pytest.mark.slow
def test_what_submit_costs_beside_the_network(darkroom: Shell) -> None:
    before = os.times()
    process = darkroom.start("submit")
    process.communicate(timeout=60)
    after = os.times()
    assert process.returncode == 0
    # Processor time, as others are at work on this machine.
    spent = after.children_user - before.children_user
    spent += after.children_system - before.children_system
    assert spent < 3.0


@pytest.mark.slow
def test_the_verbs_are_the_same_on_vertex(
    vertex_settings: VertexSettings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = {"vertex": vertex_settings.model_dump(exclude_defaults=True)}
    darkroom = Shell(cluster, tmp_path / "digits.yaml", capsys, monkeypatch)
    code, out, err = darkroom("submit")
    assert (code, err) == (0, "")
    run, address = (line.split()[1] for line in out.splitlines())
    assert address.startswith("https://console.cloud.google.com/vertex-ai/")
    code, out, _ = darkroom("runs")
    assert code == 0
    assert out.split()[0] == run
    assert darkroom("cancel", run) == (0, f"cancelled {run}\n", "")
    code, _, err = darkroom("retry", "no-such-run")
    assert code == 1
    assert err.startswith("[darkroom] error: ")
    assert err.count("\n") == 1
