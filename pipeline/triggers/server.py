"""The triggers over HTTP: storage events, a timer's calls, and a monitor's alerts.

`python -m pipeline.triggers.server`, as Cloud Run starts it, takes the config's file from
DARKROOM_CONFIG, the cluster from DARKROOM_TARGET (`kfp` or `vertex`) and its port from PORT.
Callers must send the secret in DARKROOM_TRIGGER_SECRET; it is `iam` where Cloud Run's IAM lets in
only those who may, as deploy/terraform sets it up.
"""

import hmac
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from components.monitor.retraining.claims import Retraining, parsed_retraining
from darkroom.durations import seconds
from darkroom.errors import DarkroomError, SettingsError
from pipeline.config import Config, load_config
from pipeline.target import ClusterClient, Target
from pipeline.targets import cluster_target
from pipeline.triggers.start_run import TriggerResult, start_if_due, trigger_settings, trigger_store
from pipeline.triggers.store import Store

_LARGEST_BODY, _LONGEST_REASON = 1_000_000, 1000
_NEW_OBJECT = "google.cloud.storage.object.v1.finalized"


class TriggerApp:
    """The ways in, all to the one way of starting a run.

    Args:
        config: The validated config.
        cluster: Where runs go.
        target: What to compile for.
        store: What all triggers of the pipeline share.
        secret: What callers must send as `Authorization: Bearer SECRET`; empty where something
            else, such as Cloud Run's IAM, lets in only those who may.
    """

    def __init__(
        self,
        config: Config,
        cluster: ClusterClient,
        target: Target,
        store: Store,
        secret: str = "",
    ) -> None:
        self._secret = secret
        self._config = config
        self._cluster = cluster
        self._target = target
        self._store = store

    def application(self) -> Starlette:
        """The doors as an ASGI application."""
        return Starlette(
            routes=[
                Route("/events", self._event, methods=["POST"]),
                Route("/look", self._look, methods=["POST"]),
                Route("/quality", self._quality, methods=["POST"]),
                Route("/healthz", self._healthy),
            ],
            middleware=[Middleware(OnlyKnown, secret=self._secret)],
        )

    async def _event(self, request: Request) -> JSONResponse:
        """A CloudEvent of Cloud Storage, as Eventarc sends it."""
        from cloudevents.http import from_http

        try:
            event = from_http(dict(request.headers), await request.body())
            kind, event_id, data = str(event["type"]), str(event["id"]), event.data or {}
        # Its parser raises whatever the body leads it to.
        except Exception as error:
            return _refused(f"not a CloudEvent: {error}")
        if not isinstance(data, Mapping):
            return _refused("not a CloudEvent of Cloud Storage: its data is no object")
        if kind != _NEW_OBJECT or not self._is_ours(data):
            return JSONResponse({"reason": "not of this pipeline's data"})
        return await _answered(lambda: self._after_more(event_id))

    async def _look(self, _: Request) -> JSONResponse:
        """A clock's: what an event missed, or a minimum held back, is found here."""
        return await _answered(lambda: self._start(""))

    async def _quality(self, request: Request) -> JSONResponse:
        """A monitor's word: `{"reason": "accuracy fell to 0.81"}`.

        With `retraining`, as our own monitor claims one, it is a run of its kind, and one alone
        however often it is asked for.
        """
        try:
            said = await request.json()
            reason = said["reason"]
            retraining = said.get("retraining")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            reason = None
        if not isinstance(reason, str) or not reason.strip():
            return _refused('expected {"reason": "..."}')
        if retraining is None:
            return await _answered(lambda: self._start(reason[:_LONGEST_REASON]))
        try:
            claimed = parsed_retraining(retraining)
        except ValueError as error:
            return _refused(str(error))
        return await _answered(lambda: self._retrain(claimed))

    async def _healthy(self, _: Request) -> JSONResponse:
        return JSONResponse({"pipeline": self._config.name})

    def _start(self, quality: str) -> TriggerResult:
        return start_if_due(self._config, self._cluster, self._target, self._store, quality)

    def _retrain(self, retraining: Retraining) -> TriggerResult:
        from pipeline.triggers.retrain import submit_retraining

        of_cluster = self._cluster, self._target, self._store
        return submit_retraining(self._config, retraining, *of_cluster)

    def _after_more(self, event_id: str) -> TriggerResult:
        wait = seconds(trigger_settings(self._config).debounce)
        if not wait_for_more(self._store, event_id, wait):
            return TriggerResult("an earlier event looks for this one too")
        return self._start("")

    def _is_ours(self, data: Mapping[str, Any]) -> bool:
        place = f"gs://{data.get('bucket')}/{data.get('name')}"
        folder, _, pattern = self._config.data.partition("*")
        if pattern or place == self._config.data:
            return place.startswith(folder)
        return place.startswith(f"{folder.rstrip('/')}/")


class OnlyKnown:
    """An ASGI middleware that lets in callers who know the secret, with bodies of bearable size.

    Args:
        application: The application.
        secret: The secret; empty: everybody is let in.
    """

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._application, self._secret = app, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles a request."""
        if scope["type"] != "http" or scope["path"] == "/healthz":
            await self._application(scope, receive, send)
            return
        request = Request(scope)
        given = request.headers.get("authorization", "")
        expected = f"Bearer {self._secret}"
        answer: JSONResponse | None = None
        # In a time that tells nothing of how much of it was right.
        if self._secret and not hmac.compare_digest(given.encode("latin-1"), expected.encode()):
            answer = JSONResponse({"error": "unknown caller: send the trigger's secret"}, 401)
        elif "transfer-encoding" in request.headers:
            answer = JSONResponse({"error": "a body without a length"}, 411)
        elif not _is_small(request.headers.get("content-length", "0")):
            answer = JSONResponse({"error": f"a body of {_LARGEST_BODY:,} bytes at most"}, 413)
        await (answer or self._application)(scope, receive, send)


def _is_small(stated: str) -> bool:
    return stated.isdecimal() and len(stated) < 12 and int(stated) <= _LARGEST_BODY


def _refused(message: str) -> JSONResponse:
    """A 400, whose sender would get the same answer again."""
    return JSONResponse({"error": message.encode("utf-8", "backslashreplace").decode()[:300]}, 400)


async def _answered(work: Callable[[], TriggerResult]) -> JSONResponse:
    """What became of it. A failure's status makes the sender send it again."""
    try:
        answer = await run_in_threadpool(work)
    except DarkroomError as error:
        return JSONResponse({"error": str(error)}, 500 if isinstance(error, SettingsError) else 503)
    run = {"run": answer.run.id, "address": answer.run.address} if answer.run else {}
    return JSONResponse({"reason": answer.reason, **run})


def _secret() -> str:
    secret = os.environ.get("DARKROOM_TRIGGER_SECRET", "")
    if not secret:
        raise SettingsError(
            "DARKROOM_TRIGGER_SECRET is not set, so that anybody could start runs: give a secret "
            "that callers send as 'Authorization: Bearer SECRET', or 'iam' where Cloud Run's IAM "
            "lets in only those who may"
        )
    return "" if secret == "iam" else secret


def main() -> None:
    """Serves the doors."""
    import uvicorn

    from darkroom.runtime.log import exit_with

    try:
        config = load_config(os.environ.get("DARKROOM_CONFIG", "config.yaml"))
        target = cluster_target(os.environ.get("DARKROOM_TARGET", "vertex"))
        secret = _secret()
        store = trigger_store(config)
        doors = TriggerApp(config, target.client(config), target, store, secret)
    except DarkroomError as error:
        exit_with(error, "trigger")
    port = int(os.environ.get("PORT", "8080"))
    uvicorn.run(doors.application(), host="0.0.0.0", port=port, log_level="info")


if __name__ == "__main__":
    main()


def wait_for_more(store: Store, event_id: str, wait: float) -> bool:
    """Waits for the events that come soon after this one.

    Args:
        store: What all triggers of the pipeline share.
        event_id: The event's own id: sent again after a failure, it waits again.
        wait: Seconds of a stretch.

    Returns:
        Whether this event is the one that looks, now, for all of the stretch.
    """
    now = time.time()
    stretch = int(now // wait)
    name = f"stretch-{stretch}"
    content = event_id.encode()
    # Reading first spares a bucket the writes of one name, of which it takes one a second.
    claimed = store.read(name) or (content if store.create(name, content) else store.read(name))
    if claimed != content:
        return False
    time.sleep((stretch + 1) * wait - now)
    for earlier in store.names():
        if earlier.startswith("stretch-") and int(earlier.removeprefix("stretch-")) < stretch:
            store.delete(earlier)
    return True
