"""A client of the Kubernetes API for TFJobs, and waiting for one; errors are one line each."""

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from darkroom.errors import StepError

_JOBS = {"group": "kubeflow.org", "version": "v1", "plural": "tfjobs"}
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_JOB_LABEL = "training.kubeflow.org/job-name"
_log = logging.getLogger("darkroom.train")
_MAX_UNANSWERED = 30
"""Failed polls in a row after which waiting ends with an error."""
_LOG_LINES = 20
"""Lines shown of a failed worker's log."""
_STARTING = ("ContainerCreating", "PodInitializing")


class UnavailableError(StepError):
    """The API did not answer or is too busy; a later call may succeed."""


class TFJobClient:
    """TFJobs of the cluster that KUBECONFIG names, or else of the one this process runs in."""

    def __init__(self) -> None:
        from kubernetes import client

        self.namespace = _connect()
        self._jobs = client.CustomObjectsApi()
        self._core = client.CoreV1Api()

    @contextlib.contextmanager
    def running(self, job: dict[str, Any]) -> Iterator[None]:
        """Creates a TFJob, and deletes it on exit in any case."""
        name = job["metadata"]["name"]
        job = job | {"metadata": job["metadata"] | self._owner()}
        with _clear_errors("create"):
            self._jobs.create_namespaced_custom_object(**_JOBS, namespace=self.namespace, body=job)
        try:
            yield
        finally:
            # The job may be gone, and an earlier error says more.
            with contextlib.suppress(StepError), _clear_errors("delete"):
                self._jobs.delete_namespaced_custom_object(
                    **_JOBS, namespace=self.namespace, name=name, propagation_policy="Background"
                )

    def job(self, name: str) -> dict[str, Any]:
        """Reads a TFJob.

        Raises:
            UnavailableError: The API did not answer.
            StepError: There is no such job, or it may not be read.
        """
        with _clear_errors("get"):
            job: dict[str, Any] = self._jobs.get_namespaced_custom_object(
                **_JOBS, namespace=self.namespace, name=name
            )
        return job

    def pods(self, name: str) -> list[Any]:
        """Lists the pods of a TFJob (kubernetes.client.V1Pod); empty without permission to list."""
        with contextlib.suppress(StepError), _clear_errors("list"):
            found = self._core.list_namespaced_pod(
                self.namespace, label_selector=f"{_JOB_LABEL}={name}"
            )
            return list(found.items)
        return []

    def log_tail(self, pod: str, lines: int) -> list[str]:
        """Reads the last lines of a pod's log; empty without permission to read it."""
        with contextlib.suppress(StepError), _clear_errors("get"):
            text: str = self._core.read_namespaced_pod_log(pod, self.namespace, tail_lines=lines)
            return text.splitlines()
        return []

    def _owner(self) -> dict[str, Any]:
        """This pod as the job's owner, so that deleting the pod deletes the job."""
        with contextlib.suppress(StepError), _clear_errors("get"):
            pod = self._core.read_namespaced_pod(os.environ.get("HOSTNAME", ""), self.namespace)
            facts = {"name": pod.metadata.name, "uid": pod.metadata.uid}
            return {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", **facts}]}
        return {}


def _connect() -> str:
    """Configures the client by KUBECONFIG or this pod's account; returns the namespace."""
    from kubernetes import config

    file = os.environ.get("KUBECONFIG")
    try:
        if file is None:
            config.load_incluster_config()
            return _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        config.load_kube_config(file)
        _, active = config.list_kube_config_contexts(file)
    except config.ConfigException as error:
        raise StepError(f"this step does not run in a Kubernetes cluster: {error}") from None
    return str(active["context"].get("namespace", "default"))


@contextlib.contextmanager
def _clear_errors(verb: str) -> Iterator[None]:
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        if error.status == 429 or error.status >= 500:
            raise UnavailableError(
                f"the Kubernetes API does not answer: {_message(error)}"
            ) from None
        message = _message(error)
        if error.status == 403:
            raise StepError(
                f"{message}: the steps' service account needs the verb {verb} "
                "(and create, get, delete) on tfjobs of kubeflow.org"
            ) from None
        if error.status == 404 and verb == "create":
            raise StepError(
                "the cluster has no TFJob resource: install the Kubeflow Training Operator (v1), "
                "or set cluster.workers to 1"
            ) from None
        raise StepError(f"cannot {verb} the TFJob: {message}") from None
    except HTTPError as error:
        raise UnavailableError(f"the Kubernetes API does not answer: {error}") from None


def _message(error: Any) -> str:
    """The API's message, without headers."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


def wait_for_job(client: TFJobClient, name: str, interval: float) -> None:
    """Waits until a TFJob has succeeded, and logs the state of its workers.

    Args:
        client: Client of the job's cluster.
        name: The job's name.
        interval: Seconds between polls.

    Raises:
        StepError: The job failed or was removed, or the API no longer answers.
    """
    shown, unanswered = "", 0
    while unanswered < _MAX_UNANSWERED:
        try:
            status = client.job(name).get("status") or {}
        except UnavailableError as error:
            unanswered += 1
            state = str(error)
        else:
            unanswered = 0
            if _has_succeeded(status, client, name):
                return
            state = _workers(status, client.pods(name))
        if state != shown:
            _log.info("%s", state)
        shown = state
        time.sleep(interval)
    raise StepError(f"the state of the TFJob {name} is unknown: {shown}")


def _has_succeeded(status: dict[str, Any], client: TFJobClient, name: str) -> bool:
    conditions = status.get("conditions") or ()
    true = {
        condition["type"]: condition for condition in conditions if condition["status"] == "True"
    }
    if "Failed" in true:
        _log_failed_pods(client, name)
        raise StepError(f"the TFJob failed: {true['Failed'].get('message') or 'no reason given'}")
    return "Succeeded" in true


def _workers(status: dict[str, Any], pods: list[Any]) -> str:
    """The state of the workers in one line, such as `chief active 1; worker active 2`."""
    counts = status.get("replicaStatuses") or {}
    parts = [
        f"{kind.lower()} "
        + ", ".join(f"{state} {number}" for state, number in of.items() if isinstance(number, int))
        for kind, of in counts.items()
        if of
    ]
    return "; ".join([*parts, *_troubles(pods)]) or "waiting for machines"


def _troubles(pods: list[Any]) -> list[str]:
    """Reasons why pods do not start, such as an image that cannot be pulled."""
    found = [(pod, c.state.waiting) for pod in pods for c in pod.status.container_statuses or ()]
    found += [
        (pod, condition)
        for pod in pods
        for condition in pod.status.conditions or ()
        if (condition.type, condition.status) == ("PodScheduled", "False")
    ]
    return [
        f"{pod.metadata.name}: {' '.join(filter(None, (cause.reason, cause.message)))}"
        for pod, cause in found
        if cause is not None and cause.reason not in _STARTING
    ]


def _log_failed_pods(client: TFJobClient, name: str) -> None:
    for pod in client.pods(name):
        if pod.status.phase == "Failed":
            for line in client.log_tail(pod.metadata.name, _LOG_LINES):
                _log.info("%s: %s", pod.metadata.name, line)
