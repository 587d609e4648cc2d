"""The Kubernetes API as the KServe target needs it; each failure is one line with its fix."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tenacity

from darkroom.errors import StepError

MANAGER = "darkroom"
"""Who sets a field, for the API server: what others set in the same object stays theirs."""
_SERVICES = "inferenceservices"
_GROUP = "serving.kserve.io"
_API = f"{_GROUP}/v1beta1"
_WAITS = (0.5, 1.0, 2.0, 4.0)
"""Seconds before each further attempt; all that is asked here may be asked twice."""
_ANSWER_WITHIN = (10, 60)
"""Seconds to connect, and to answer."""
_VERBS = {"GET": "get", "PATCH": "patch", "DELETE": "delete"}
_KUBECONFIG = Path("~/.kube/config")
_INSTALL = "install KServe (https://kserve.github.io/website), charts kserve-crd and kserve"


class UnreachableError(StepError):
    """The API does not answer, or is busy; a later call may succeed."""


class RefusedError(StepError):
    """The API has refused a request: it has changed nothing."""


class Cluster:
    """InferenceServices of the cluster that KUBECONFIG names, or of the one this runs in.

    Args:
        namespace: Their namespace.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._client = _connected()

    def service(self, name: str) -> dict[str, Any] | None:
        """An InferenceService; None if there is none."""
        return self._get(self._path(name))

    def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Applies an InferenceService: sets its fields, and removes those that it set before.

        Raises:
            RefusedError: The API refuses it; nothing has changed.
            UnreachableError: No answer came; it may have been applied.
        """
        metadata = {"namespace": self._namespace, **body["metadata"]}
        document = {"apiVersion": _API, "kind": "InferenceService", **body, "metadata": metadata}
        query = [("fieldManager", MANAGER), ("fieldValidation", "Strict")]
        applied = self._ask("PATCH", self._path(metadata["name"]), query, document)
        if applied is None:
            raise RefusedError(f"there is no namespace {self._namespace} in the cluster: create it")
        return applied

    def delete(self, name: str) -> None:
        """Deletes an InferenceService, if it is there."""
        self._ask("DELETE", self._path(name))

    def deployment(self, name: str) -> dict[str, Any] | None:
        """A Deployment; None if there is none."""
        return self._get(f"/apis/apps/v1/namespaces/{self._namespace}/deployments/{name}")

    def pods(self, service: str) -> list[dict[str, Any]]:
        """The pods of an InferenceService."""
        selector = [("labelSelector", f"{_GROUP}/inferenceservice={service}")]
        found = self._get(f"/api/v1/namespaces/{self._namespace}/pods", selector) or {}
        return list(found.get("items", ()))

    def events(self) -> list[dict[str, Any]]:
        """The events of the namespace."""
        found = self._get(f"/api/v1/namespaces/{self._namespace}/events") or {}
        return list(found.get("items", ()))

    def has_canaries(self) -> bool:
        """Whether InferenceServices have a field `spec.canary`, as KServe 0.20 and later know it.

        By the schema that the API server gives out, which nobody needs a permission to read.
        """
        document = self._get(f"/openapi/v3/apis/{_API}") or {}
        for schema in document.get("components", {}).get("schemas", {}).values():
            kinds = schema.get("x-kubernetes-group-version-kind", ())
            if any(kind.get("kind") == "InferenceService" for kind in kinds):
                spec = schema.get("properties", {}).get("spec", {})
                # The minimal CRD has no schema of it: what comes of a canary shows in the status.
                if spec.get("x-kubernetes-preserve-unknown-fields"):
                    return True
                return "canary" in spec.get("properties", {})
        return False

    def _path(self, name: str) -> str:
        return f"/apis/{_API}/namespaces/{self._namespace}/{_SERVICES}/{name}"

    def _get(self, path: str, query: list[tuple[str, str]] | None = None) -> dict[str, Any] | None:
        return self._ask("GET", path, query)

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(UnreachableError),
        stop=tenacity.stop_after_attempt(len(_WAITS) + 1),
        wait=tenacity.wait_chain(*(tenacity.wait_fixed(seconds) for seconds in _WAITS)),
        reraise=True,
    )
    def _ask(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]] | None = None,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any] | None:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/apply-patch+yaml"
        try:
            answer: dict[str, Any] = self._client.call_api(
                path,
                method,
                query_params=query,
                header_params=headers,
                body=body,
                response_type="object",
                auth_settings=["BearerToken"],
                _return_http_data_only=True,
                _request_timeout=_ANSWER_WITHIN,
            )
        except ApiException as error:
            refusal = self._refusal(error, method, path)
            if refusal is None:
                return None
            raise refusal from None
        except (HTTPError, OSError) as error:
            reason = " ".join(str(error).split())
            raise UnreachableError(f"the Kubernetes API does not answer: {reason}") from None
        return answer

    def _refusal(self, error: Any, method: str, path: str) -> StepError | None:
        """What an answer means; None where what was asked for does not exist."""
        status = _status(error.body)
        message = status.get("message") or f"{error.status} {' '.join(str(error.reason).split())}"
        what = path.split(f"/namespaces/{self._namespace}/")[-1].split("/")[0]
        if not error.status:
            return StepError(
                f"no secure connection to the cluster: {message}; check the kubeconfig's server "
                "and its certificate authority"
            )
        if error.status == 429 or error.status >= 500:
            return UnreachableError(f"the Kubernetes API does not answer: {message}")
        if error.status == 404:
            # Of a kind that is not installed the server knows no path, and says so in plain text.
            if status.get("reason") != "NotFound" and _GROUP in path:
                return RefusedError(f"the cluster has no InferenceServices: {_INSTALL}")
            return None
        if error.status == 401:
            return RefusedError(
                f"the cluster does not accept the credentials ({message}): log in again, or set "
                "KUBECONFIG to a file with others"
            )
        if error.status == 403 and "denied the request" not in message:  # as an admission hook has
            # To apply what is not there yet takes the verb create, too.
            verb = re.search(r"cannot (\w+) resource", message)
            return RefusedError(
                f"{message}: a Role of namespace {self._namespace} must allow the verb "
                f"{verb[1] if verb else _VERBS[method]} on {what} (see deploy/kserve/push.yaml)"
            )
        if error.status == 409:
            return _conflict(status, message)
        return RefusedError(f"the cluster refuses to {_VERBS[method]} {what}: {message}")


def _conflict(status: Mapping[str, Any], message: str) -> StepError:
    """Who else sets a field; without one, somebody has only been faster."""
    causes = (status.get("details") or {}).get("causes") or ()
    owned = [cause for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    if not owned:
        return UnreachableError(f"the Kubernetes API is busy with another change: {message}")
    fields = ", ".join(str(cause.get("field")) for cause in owned)
    who = " and ".join(sorted({str(cause.get("message")).split('"')[1] for cause in owned}))
    return RefusedError(
        f"{fields} of the InferenceService {'is' if len(owned) == 1 else 'are'} set by {who}: take "
        f"{'it' if len(owned) == 1 else 'them'} out of what {who} applies, and try again"
    )


def _status(body: Any) -> dict[str, Any]:
    try:
        status = json.loads(body)
    except (TypeError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def _connected() -> Any:
    """A client by KUBECONFIG, the user's own kubeconfig, or else this pod's service account."""
    import yaml
    from kubernetes import client, config

    settings = client.Configuration()
    file = os.environ.get("KUBECONFIG") or None
    try:
        if file is None and not _KUBECONFIG.expanduser().is_file():
            config.load_incluster_config(client_configuration=settings)
        else:
            file = file or str(_KUBECONFIG.expanduser())
            config.load_kube_config(file, client_configuration=settings)
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise StepError(
            f"no Kubernetes cluster to push to ({reason}): set KUBECONFIG to the file of one, or "
            "run the push in a pod, whose service account is used"
        ) from None
    settings.retries = False  # tenacity's are enough
    return client.ApiClient(settings)
