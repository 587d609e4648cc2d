"""The train step on several machines: a TFJob whose workers share a folder with the step."""

import contextlib
import copy
import json
import logging
import shutil
import signal
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pydantic

from components.train.settings import TrainSettings
from components.train.tfjob.client import TFJobClient, wait_for_job
from darkroom.artifacts.manifest import atomic_artifact
from darkroom.errors import StepError
from darkroom.runtime.signals import handled_signals, ignore
from darkroom.settings import Settings
from darkroom.storage.atomic import os_reason

_log = logging.getLogger("darkroom.train")


class JobSettings(Settings):
    """The TFJob, as `darkroom compile` writes it."""

    manifest: dict[str, Any]
    """The TFJob's manifest, without its name and the arguments of its containers."""
    shared_folder: str
    """Folder on a volume that this step and all workers mount."""
    interval: float = 10.0
    """Seconds between polls of the job."""

    @pydantic.field_validator("manifest", mode="before")
    @classmethod
    def _with_whole_numbers(cls, manifest: Any) -> Any:
        # Pipeline parameters have no integers, and Kubernetes does not accept 2.0 for 2.
        return whole_numbers(manifest)


def whole_numbers(value: Any) -> Any:
    """Converts the numbers of a JSON value that have no fraction to integers.

    >>> whole_numbers({"replicas": 2.0, "names": ["a"]})
    {'replicas': 2, 'names': ['a']}
    """
    if isinstance(value, dict):
        return {key: whole_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [whole_numbers(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def train(
    transformed_examples: Path,
    transform_graph: Path,
    settings: TrainSettings,
    job: JobSettings,
    *,
    model: Path,
    checkpoints: Path,
) -> None:
    """Trains a classifier on several machines, in a TFJob that this step starts and watches.

    Args:
        transformed_examples: The examples that transform wrote.
        transform_graph: The graph that transform fitted.
        settings: What is trained, and how.
        job: The TFJob, and the folder that its workers share with this step.
        model: Output: as the train step writes it.
        checkpoints: Output: as the train step writes it.

    Raises:
        StepError: The job failed, or the cluster refused it.
    """
    name = f"{job.manifest['metadata']['generateName']}{uuid.uuid4().hex[:8]}"
    client = TFJobClient()
    with _shared(Path(job.shared_folder) / name) as folder:
        inputs = {"transformed-examples": transformed_examples, "transform-graph": transform_graph}
        outputs = {"model": model, "checkpoints": checkpoints}
        for option, path in inputs.items():
            shutil.copytree(path, folder / option)
        options = {option: str(folder / option) for option in (*inputs, *outputs)}
        options["settings"] = json.dumps(settings.model_dump(mode="json", exclude_none=True))
        arguments = [f"--{option}={value}" for option, value in options.items()]
        with _ended_by_signal(), client.running(named(job.manifest, name, arguments)):
            _log.info("TFJob %s in namespace %s", name, client.namespace)
            wait_for_job(client, name, job.interval)
        for option, path in outputs.items():
            with atomic_artifact(path) as temporary:
                shutil.copytree(folder / option, temporary, dirs_exist_ok=True)


def named(manifest: Mapping[str, Any], name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Sets the name and the containers' arguments in a copy of a TFJob's manifest."""
    job: dict[str, Any] = copy.deepcopy(dict(manifest))
    job["metadata"]["name"] = name
    del job["metadata"]["generateName"]
    for replicas in job["spec"]["tfReplicaSpecs"].values():
        (container,) = replicas["template"]["spec"]["containers"]
        container["args"] = list(arguments)
    return job


@contextlib.contextmanager
def _shared(folder: Path) -> Iterator[Path]:
    """Creates a folder that the workers share, and removes it on exit."""
    try:
        folder.mkdir(parents=True)
        yield folder
    except OSError as error:
        raise StepError(
            f"cannot use {folder}, which the workers share (cluster.kfp.shared_folder): "
            f"{os_reason(error)}"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Cancelled(BaseException):
    """SIGTERM was received; a BaseException, so that no handler of errors catches it."""


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Raises an exception on SIGTERM, so that a cancelled run leaves no job behind."""

    def end(received: signal.Signals) -> NoReturn:
        # Only once: the clean-up must not be interrupted.
        ignore(received)
        raise _Cancelled

    try:
        with handled_signals(end):
            yield
    except _Cancelled:
        raise StepError("the run was cancelled, and its TFJob deleted") from None
