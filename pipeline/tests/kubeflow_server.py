"""A stand-in for Kubeflow Pipelines: a real HTTP server that holds v2beta1 to its schemas.

Each request body, query and answer is checked against the models of `kfp_server_api`, and each
pipeline parsed into the IR's protos, as the real server does.
"""

import contextlib
import dataclasses
import http.server
import json
import re
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from pipeline.tests.kubeflow_runs import Outcome, StoodInRun
from pipeline.tests.kubeflow_schema import SchemaError, check, check_query

TOKEN = "a-good-token"
_PAGES = frozenset(("page_token", "page_size", "sort_by", "filter", "namespace"))
_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 503: 14}


class RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] = {}) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


@dataclasses.dataclass(frozen=True)
class Fault:
    """An error that a request is to get."""

    status: int
    message: str
    request: str = ""
    done: bool = False
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


class KubeflowServer:
    """The server's state, and what a test tells it to do."""

    def __init__(self) -> None:
        self.url = ""
        self.namespace = ""
        self.outcomes: dict[str, Outcome] = {}
        self.logs: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.experiments: list[dict[str, Any]] = []
        self.runs: dict[str, StoodInRun] = {}
        self.recurring: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.deletions: list[dict[str, str]] = []

    def fail(self, status: int, message: str = "busy", *, times: int = 1, **headers: str) -> None:
        """The next calls are answered with an error."""
        self.faults += [Fault(status, message, headers=headers)] * times

    def fail_on(self, request: str, status: int, *, done: bool) -> None:
        """The next call of that kind is answered with an error; `done`: once it is carried out."""
        self.faults.append(Fault(status, "busy", request, done))

    def next_fault(self, request: str) -> "Fault | None":
        """The error that this request is to get."""
        for fault in self.faults:
            if fault.request in ("", request):
                self.faults.remove(fault)
                return fault
        return None

    def answer(self, method: str, path: str, query: dict[str, str], body: Any, auth: str) -> Any:
        """The answer to a request, checked."""
        self.asked.append(f"{method} {path}")
        if auth != f"Bearer {TOKEN}":
            raise RefusedError(401, "Request header error: there is no valid user identity")
        fault = self.next_fault(f"{method} {path}")
        if fault is not None and not fault.done:
            raise RefusedError(fault.status, fault.message, fault.headers)
        for pattern, (form, handler) in _ROUTES.items():
            if match := re.fullmatch(pattern, f"{method} {path}"):
                answer = handler(self, *match.groups(), query=query, body=body)
                if form is not None:
                    check(answer, form)
                if fault is not None:
                    raise RefusedError(fault.status, fault.message, fault.headers)
                return answer
        raise RefusedError(404, "Not Found")

    def _list_experiments(self, *, query: dict[str, str], body: Any) -> Any:
        check_query(query, _PAGES)
        self._check_namespace(query.get("namespace", ""))
        return {"experiments": _filtered(self.experiments, query)}

    def _create_experiment(self, *, query: dict[str, str], body: Any) -> Any:
        check(body, "V2beta1Experiment")
        self._check_namespace(body.get("namespace", ""))
        if any(other["display_name"] == body["display_name"] for other in self.experiments):
            raise RefusedError(409, f"The name {body['display_name']} already exists")
        self.experiments.append({**body, "experiment_id": f"experiment-{len(self.experiments)}"})
        return self.experiments[-1]

    def _create_run(self, *, query: dict[str, str], body: Any) -> Any:
        check(body, "V2beta1Run")
        self._check_pipeline(body)
        run = StoodInRun(f"run-{len(self.runs)}", body, self.outcomes)
        self.runs[run.run_id] = run
        return run.answer()

    def _list_runs(self, *, query: dict[str, str], body: Any) -> Any:
        check_query(query, _PAGES | {"experiment_id"})
        answers = [run.answer() for run in reversed(self.runs.values())]
        mine = [a for a in answers if a["experiment_id"] == query["experiment_id"]]
        return _page("runs", _filtered(mine, query), query)

    def _get_run(self, run_id: str, *, query: dict[str, str], body: Any) -> Any:
        self._run(run_id).tick()
        return self._run(run_id).answer()

    def _terminate(self, run_id: str, *, query: dict[str, str], body: Any) -> Any:
        self._run(run_id).cancel()
        return {}

    def _retry(self, run_id: str, *, query: dict[str, str], body: Any) -> Any:
        self._run(run_id).retry()
        return {}

    def _log(self, run_id: str, pod: str, *, query: dict[str, str], body: Any) -> bytes:
        run = self._run(run_id)
        for step, text in self.logs.items():
            if pod == run.pod(step):
                return text.encode()
        # The real server has sent its 200 by then.
        return json.dumps({"error_message": f"pods {pod} not found", "error_details": ""}).encode()

    def _create_recurring(self, *, query: dict[str, str], body: Any) -> Any:
        check(body, "V2beta1RecurringRun")
        self._check_pipeline(body)
        cron = body["trigger"]["cron_schedule"]["cron"]
        # robfig/cron 1.2 knows six fields, Sunday as 0, and no time zone.
        if len(cron.split()) != 6 or re.search(r"[7LW#]", cron.split()[5]):
            raise RefusedError(400, f"Schedule cron is not a supported format: {cron}")
        if not 1 <= int(body["max_concurrency"]) <= 10:
            raise RefusedError(
                400, "Max concurrency of a recurring run must be at least 1 and at most 10"
            )
        made = {**body, "recurring_run_id": f"recurring-{len(self.asked)}"}
        made["status"] = "ENABLED" if body["mode"] == "ENABLE" else "DISABLED"
        self.recurring = {made["recurring_run_id"]: made, **self.recurring}
        return made

    def _list_recurring(self, *, query: dict[str, str], body: Any) -> Any:
        check_query(query, _PAGES | {"experiment_id"})
        self._check_namespace(query.get("namespace", ""))
        return _page("recurringRuns", _filtered(list(self.recurring.values()), query), query)

    def _change_recurring(self, key: str, verb: str, *, query: dict[str, str], body: Any) -> Any:
        mode, status = ("ENABLE", "ENABLED") if verb == "enable" else ("DISABLE", "DISABLED")
        self.recurring[key] |= {"mode": mode, "status": status}
        return {}

    def _delete_recurring(self, key: str, *, query: dict[str, str], body: Any) -> Any:
        check_query(query, frozenset(("propagation_policy",)))
        self.deletions.append(query)
        del self.recurring[key]
        return {}

    def _healthz(self, *, query: dict[str, str], body: Any) -> Any:
        return {"multi_user": bool(self.namespace)}

    def _run(self, run_id: str) -> StoodInRun:
        if run_id not in self.runs:
            raise RefusedError(404, f"Failed to get a run: Run {run_id} not found")
        return self.runs[run_id]

    def _check_namespace(self, namespace: str) -> None:
        if namespace != self.namespace:
            raise RefusedError(400, f"namespace '{namespace}' does not fit the server's mode")

    def _check_pipeline(self, body: Mapping[str, Any]) -> None:
        spec = body["pipeline_spec"]
        if "platform_spec" in spec:
            json_format.ParseDict(spec["platform_spec"], pipeline_spec_pb2.PlatformSpec())
            spec = spec["pipeline_spec"]
        parsed = json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
        known = set(parsed.root.input_definitions.parameters)
        if extra := set(body["runtime_config"].get("parameters", {})) - known:
            raise RefusedError(400, f"parameter(s) provided are not required by pipeline: {extra}")


_V2 = "/apis/v2beta1"
_ROUTES: dict[str, tuple[str | None, Callable[..., Any]]] = {
    f"GET {_V2}/healthz": ("V2beta1GetHealthzResponse", KubeflowServer._healthz),
    f"GET {_V2}/experiments": (
        "V2beta1ListExperimentsResponse",
        KubeflowServer._list_experiments,
    ),
    f"POST {_V2}/experiments": ("V2beta1Experiment", KubeflowServer._create_experiment),
    f"POST {_V2}/runs": ("V2beta1Run", KubeflowServer._create_run),
    f"GET {_V2}/runs": ("V2beta1ListRunsResponse", KubeflowServer._list_runs),
    f"GET {_V2}/runs/([^/:]+)": ("V2beta1Run", KubeflowServer._get_run),
    f"POST {_V2}/runs/([^/:]+):terminate": ("object", KubeflowServer._terminate),
    f"POST {_V2}/runs/([^/:]+):retry": ("object", KubeflowServer._retry),
    "GET /apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log": (None, KubeflowServer._log),
    f"POST {_V2}/recurringruns": ("V2beta1RecurringRun", KubeflowServer._create_recurring),
    f"GET {_V2}/recurringruns": (
        "V2beta1ListRecurringRunsResponse",
        KubeflowServer._list_recurring,
    ),
    f"POST {_V2}/recurringruns/([^/:]+):(enable|disable)": (
        "object",
        KubeflowServer._change_recurring,
    ),
    f"DELETE {_V2}/recurringruns/([^/:]+)": ("object", KubeflowServer._delete_recurring),
}


def _filtered(items: list[dict[str, Any]], query: Mapping[str, str]) -> list[dict[str, Any]]:
    if not query.get("filter"):
        return items
    # The real server reads protobuf's JSON, which takes names and numbers, and both spellings.
    text = query["filter"].replace("stringValue", "string_value")
    values = json.loads(text.replace('"operation": 1', '"operation": "EQUALS"'))
    check(values, "V2beta1Filter")
    (predicate,) = values["predicates"]
    assert predicate["operation"] == "EQUALS"
    return [item for item in items if item[predicate["key"]] == predicate["string_value"]]


def _page(key: str, items: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    start, size = int(query.get("page_token") or 0), int(query.get("page_size") or 20)
    following = {"next_page_token": str(start + size)} if start + size < len(items) else {}
    return {key: items[start : start + size], "total_size": len(items), **following}


@contextlib.contextmanager
def kubeflow_server(tls: ssl.SSLContext | None = None) -> Iterator[KubeflowServer]:
    """Serves on a port of its own."""
    state = KubeflowServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def handle_any(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            auth = self.headers.get("authorization", "")
            status, headers = 200, {}
            try:
                body = json.loads(text) if text else None
                answer = state.answer(self.command, url.path, query, body, auth)
            except RefusedError as error:
                status, answer = error.status, _error(error.status, str(error))
                headers = {key.replace("_", "-"): value for key, value in error.headers.items()}
            except (SchemaError, json_format.ParseError, KeyError) as error:
                status, answer = 400, _error(400, f"{type(error).__name__}: {error}")
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            kind = "text/plain" if isinstance(answer, bytes) else "application/json"
            for name, value in {"Content-Type": kind, **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = handle_any  # noqa: N815

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": message, "code": _CODES.get(status, 13), "message": message, "details": []}
