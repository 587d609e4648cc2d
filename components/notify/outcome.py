"""What is reported of a run, and as much of it as the folders of its steps tell."""

import contextlib
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.notify.settings import Result
from darkroom.artifacts.evaluation import read_evaluation
from darkroom.artifacts.manifest import read_manifest
from darkroom.errors import StepError


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        pipeline: The pipeline's name.
        result: How it ended.
        error: Why it failed, or "".
        page: The address of the run's page, or "".
        report: The address of the evaluation's report, or "" where there is none to be found.
        metrics: The evaluation's metrics of all test photographs.
        reasons: Why the model was not blessed.
        pushed: Where the model serves, or "".
    """

    pipeline: str
    result: Result
    error: str = ""
    page: str = ""
    report: str = ""
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    pushed: str = ""


def run_page(run: str, run_id: str = "", host: str = "") -> str:
    """The address of a run's page.

    Args:
        run: The cluster's name of the run: on Vertex its resource name, which tells all.
        run_id: Its id on Kubeflow.
        host: Address of Kubeflow, or "".
    """
    match = re.fullmatch(r"projects/([^/]+)/locations/([^/]+)/pipelineJobs/([^/]+)", run)
    if match is None:
        return f"{host.rstrip('/')}/#/runs/details/{run_id}" if host else ""
    project, location, job = match.groups()
    pages = f"https://console.cloud.google.com/vertex-ai/locations/{location}/pipelines/runs"
    return f"{pages}/{job}?project={project}"


def with_findings(outcome: Outcome, artifact: Path) -> Outcome:
    """Adds what the run's other steps wrote, where their folders can be read from here.

    On Vertex they can: a run's folder in the bucket, mounted, holds a folder a task. On Kubeflow
    a step sees its own inputs alone, and the run's page has to do.

    Args:
        outcome: What the cluster says.
        artifact: Where the notify step writes, within the run's folder.
    """
    found: dict[str, Any] = {"report": _address(_newest(artifact, "evaluate", "report"))}
    evaluated = _newest(artifact, "evaluate", "evaluation")
    pushed = _newest(artifact, "push", "pushed")
    # A step that failed leaves no whole artifact; the outcome says that it did.
    with contextlib.suppress(StepError, KeyError, OSError):
        if evaluated is not None:
            evaluation = read_evaluation(evaluated)
            found |= {"metrics": evaluation.metrics, "reasons": tuple(evaluation.reasons)}
            if outcome.result == "succeeded" and not evaluation.blessed:
                found["result"] = "not_blessed"
        if pushed is not None:
            found["pushed"] = read_manifest(pushed, "pushed")["path"]
    return dataclasses.replace(outcome, **found)


def _newest(artifact: Path, step: str, name: str) -> Path | None:
    """Another step's artifact in the same run; of a step that was retried, the last."""
    run = artifact.parent.parent
    found = [path for path in run.glob(f"{step}*/{name}") if path.exists()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _address(path: Path | None) -> str:
    """What people open a file by: Google's page of it, where it is in a mounted bucket."""
    if path is None:
        return ""
    if path.parts[:2] == ("/", "gcs"):
        return f"https://storage.cloud.google.com/{'/'.join(path.parts[2:])}"
    return str(path)
