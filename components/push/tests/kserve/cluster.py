"""A Kubernetes API with KServe behind it, as far as a push goes, over HTTP.

What is applied is checked by the schema and by KServe's admission rules, and merged by the rules
of server-side apply. Each look at the InferenceService moves its controller one step.
"""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jsonschema.exceptions import best_match

from components.push.tests.kserve.controller import SOURCE, Controller
from components.push.tests.kserve.schema import properties_of, validator

API = "/apis/serving.kserve.io/v1beta1"
SERVICE = f"{API}/namespaces/vision/inferenceservices/flowers"
MODE = "serving.kserve.io/deploymentMode"
Leaves = dict[tuple[str, ...], Any]


class RefusalError(Exception):
    """An answer that is not the resource."""

    def __init__(self, code: int, reason: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.document = {"kind": "Status", "code": code, "reason": reason, "message": message}
        self.document["details"] = details


class FakeCluster(Controller, ThreadingHTTPServer):
    """A cluster with a namespace `vision`, in which an InferenceService `flowers` may be.

    Attributes:
        knows_canaries: Whether its InferenceServices have `spec.canary`.
        refusals: Answers to requests instead of doing them, by method and a part of the path.
        cuts: Methods whose connection is cut once after the request was done.
        requests: Method and path of all that was asked.
    """

    def __init__(self, mode: str = "Knative") -> None:
        Controller.__init__(self, mode)
        ThreadingHTTPServer.__init__(self, ("127.0.0.1", 0), Handler)
        self.knows_canaries = True
        self.refusals: dict[tuple[str, str], tuple[int, Any]] = {}
        self.cuts: list[str] = []
        self.owners: dict[str, Leaves] = {}
        self.requests: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def apply(self, manager: str, body: dict[str, Any]) -> dict[str, Any]:
        """Server-side apply."""
        if (error := best_match(validator().iter_errors(body))) is not None:
            raise RefusalError(422, "Invalid", f"InferenceService is invalid: {error.message}")
        given = leaves({key: body.get(key, {}) for key in ("metadata", "spec")})
        for name in ("name", "namespace"):
            del given["metadata", name]
        self._check_conflicts(manager, given)
        wanted = dict(leaves(self.service or {}))
        others = {path for who, paths in self.owners.items() if who != manager for path in paths}
        for path in set(self.owners.get(manager, {})) - set(given) - others:
            wanted.pop(path, None)
        wanted.update(given)
        service = _nested(wanted)
        service.update({"apiVersion": body["apiVersion"], "kind": body["kind"]})
        service["metadata"].update({key: body["metadata"][key] for key in ("name", "namespace")})
        if self.mode == "Standard":
            service["metadata"].setdefault("annotations", {}).setdefault(MODE, "Standard")
        self._admit(service)
        has_changed = self.service is None or service["spec"] != self.service["spec"]
        generation = self.service["metadata"]["generation"] if self.service else 0
        service["metadata"]["generation"] = generation + has_changed
        service["status"] = self.service["status"] if self.service else {}
        self.owners[manager] = given
        service["metadata"]["managedFields"] = [
            {"manager": who, "operation": "Apply", "fieldsV1": _fields(paths)}
            for who, paths in self.owners.items()
        ]
        self.service = service
        self.is_reconciled = self.is_reconciled and not has_changed
        return service

    def _check_conflicts(self, manager: str, given: Leaves) -> None:
        now = leaves(self.service or {})
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{who}" using serving.kserve.io/v1beta1',
                "field": "." + ".".join(path),
            }
            for who, paths in self.owners.items()
            for path in paths
            if who != manager and path in given and now.get(path) != given[path]
        ]
        if causes:
            raise RefusalError(409, "Conflict", "Apply failed with conflicts", causes=causes)

    def _admit(self, service: Mapping[str, Any]) -> None:
        """KServe's admission rules that a push could break."""
        spec = service["spec"]
        canaries = spec.get("canary", [])
        problem = ""
        if canaries and service["metadata"].get("annotations", {}).get(MODE) != "Standard":
            problem = "canary is only supported in Standard deployment mode"
        if canaries and canaries[0]["predictor"]["name"] == spec["predictor"].get("name"):
            problem = "canary predictor.name conflicts with stable predictor name"
        if self.service is not None:
            old = self.service["spec"]["predictor"]
            same = old["model"].get("storageUri") == spec["predictor"]["model"].get("storageUri")
            if same and old.get("name") != spec["predictor"].get("name"):
                problem = "predictor.name change requires a model change (e.g. storageUri)"
        if problem:
            hook = "inferenceservice.kserve-webhook-server.validator"
            text = f'admission webhook "{hook}" denied the request: {problem}'
            raise RefusalError(403, "Forbidden", text)

    def answer(self, method: str, path: str, query: Mapping[str, list[str]], body: Any) -> Any:
        """What a request gets."""
        self.requests.append((method, path))
        for (refused, part), (code, document) in self.refusals.items():
            if refused == method and part in path:
                raise RefusalError(code, "", "") if document is None else _RawError(code, document)
        if path == f"/openapi/v3{API}":
            return self._openapi()
        if path.startswith("/apis/apps/v1/namespaces/vision/deployments/"):
            return self._deployment(path.rpartition("/")[2].removesuffix("-predictor"))
        if path == "/api/v1/namespaces/vision/pods":
            assert query["labelSelector"] == ["serving.kserve.io/inferenceservice=flowers"]
            return {"items": [{"metadata": {"name": "flowers-predictor-x"}}]}
        if path == "/api/v1/namespaces/vision/events":
            return {"items": EVENTS}
        assert path == SERVICE, path
        if method == "PATCH":
            assert query["fieldValidation"] == ["Strict"]
            return self.apply(query["fieldManager"][0], body)
        if self.service is None:
            raise RefusalError(404, "NotFound", 'inferenceservices "flowers" not found')
        if method == "DELETE":
            self.service, self.owners = None, {}
            return {"kind": "Status", "status": "Success"}
        answer = json.loads(json.dumps(self.service))
        self.step()
        return answer

    def _openapi(self) -> dict[str, Any]:
        spec = dict(properties_of("V1beta1InferenceServiceSpec"))
        if not self.knows_canaries:
            del spec["canary"]
        kind = {"group": "serving.kserve.io", "version": "v1beta1", "kind": "InferenceService"}
        model = {
            "properties": {"spec": {"type": "object", "properties": spec}},
            "x-kubernetes-group-version-kind": [kind],
        }
        return {"components": {"schemas": {"io.kserve.serving.v1beta1.InferenceService": model}}}

    def _deployment(self, name: str) -> dict[str, Any]:
        pods = self.deployments.get(name)
        if pods is None:
            raise RefusalError(404, "NotFound", f'deployments.apps "{name}-predictor" not found')
        ready = int(pods.is_ready)
        return {
            "metadata": {"name": f"{name}-predictor", "generation": pods.generation},
            "spec": {"replicas": 1, "template": {"metadata": {"annotations": {SOURCE: pods.uri}}}},
            "status": {
                "observedGeneration": pods.generation,
                "replicas": 1 + (pods.before is not None),
                "updatedReplicas": 1,
                "availableReplicas": ready or int(pods.before is not None),
            },
        }


class _RawError(Exception):
    def __init__(self, code: int, document: Any) -> None:
        super().__init__()
        self.code, self.document = code, document


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for a cluster."""

    server: FakeCluster

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("GET")

    def do_PATCH(self) -> None:
        assert self.headers["Content-Type"] == "application/apply-patch+yaml"
        self._answer("PATCH")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        url = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        code, document = 200, None
        with self.server.lock:
            try:
                document = self.server.answer(method, url.path, parse_qs(url.query), body)
            except (RefusalError, _RawError) as refusal:
                code, document = refusal.code, refusal.document
            if method in self.server.cuts:
                self.server.cuts.remove(method)
                self.close_connection = True
                return
            content = document if isinstance(document, str) else json.dumps(document)
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())


EVENTS = [
    {
        "metadata": {},
        "involvedObject": {"name": pod},
        "type": kind,
        "reason": reason,
        "message": message,
        "lastTimestamp": f"2026-01-0{day}T00:00:00Z",
    }
    for pod, kind, reason, message, day in [
        ("flowers-predictor-x", "Warning", "BackOff", "back-off restarting container", 2),
        ("flowers-predictor-x", "Warning", "FailedScheduling", "0/3 nodes are available", 1),
        ("flowers-predictor-x", "Normal", "Pulled", "image is present", 3),
        ("another", "Warning", "OOMKilled", "of another", 4),
    ]
]


def leaves(document: Mapping[str, Any], above: tuple[str, ...] = ()) -> Leaves:
    """The values of a document by their paths; lists are values, as the CRD has them atomic."""
    found: Leaves = {}
    for key, value in document.items():
        if not above and key not in ("metadata", "spec"):
            continue
        if above == ("metadata",) and key in ("managedFields", "generation"):
            continue
        if isinstance(value, dict):
            found |= leaves(value, (*above, key))
        else:
            found[*above, key] = value
    return found


def _nested(values: Leaves) -> dict[str, Any]:
    document: dict[str, Any] = {"metadata": {}, "spec": {}}
    for path, value in values.items():
        place = document
        for key in path[:-1]:
            place = place.setdefault(key, {})
        place[path[-1]] = value
    return document


def _fields(paths: Leaves) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path in paths:
        place = nested
        for key in path:
            place = place.setdefault(f"f:{key}", {})
    return nested


@contextlib.contextmanager
def running(cluster: FakeCluster) -> Iterator[FakeCluster]:
    """Answers requests meanwhile."""
    thread = threading.Thread(target=cluster.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield cluster
    cluster.shutdown()
    thread.join()
    cluster.server_close()
