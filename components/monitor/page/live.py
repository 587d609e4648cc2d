"""The live page, and the figures for Prometheus, by HTTP."""

import base64
import hashlib
import logging
import socket
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from components.monitor.page.charts import script
from components.monitor.page.latest import EVERY, Latest
from components.monitor.page.mistakes import Pictures
from components.monitor.page.prometheus import CONTENT_TYPE, exposition
from darkroom.errors import SettingsError
from darkroom.storage.atomic import os_reason

if TYPE_CHECKING:
    from starlette.applications import Starlette

PORT = 8600
LOOPBACK = "127.0.0.1"
_LOOPBACKS = (LOOPBACK, "localhost", "::1")
_log = logging.getLogger("darkroom.monitor")


def serve(
    database: Path,
    host: str = LOOPBACK,
    port: int = PORT,
    *,
    title: str = "",
    pictures: Pictures | None = None,
) -> None:
    """Serves the page until the process is ended.

    Args:
        database: The monitor's file, which another process may be writing.
        host: The address to listen at. The page shows photographs to whoever asks.
        port: The port; 0 is any.
        title: What is watched; the file's name if left out.
        pictures: Where photographs are found; without, those to look at have names alone.

    Raises:
        SettingsError: It cannot listen there.
    """
    import uvicorn

    latest = Latest(database, title or database.stem, pictures)
    listening = _listen(host, port)
    address, at = listening.getsockname()[:2]
    _log.info("the page is at http://%s:%d/", f"[{address}]" if ":" in address else address, at)
    config = uvicorn.Config(
        application(latest, only_here=host in _LOOPBACKS), log_level="warning", access_log=False
    )
    uvicorn.Server(config).run(sockets=[listening])


def application(latest: Latest, only_here: bool) -> "Starlette":
    """The doors: `/`, `/metrics` and `/healthz`.

    Args:
        latest: What is shown.
        only_here: Whether it listens to this machine alone: then no other site that a browser of
            this machine visits may ask it under a name of its own.
    """
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    headers = {
        "Content-Security-Policy": _policy(),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    # Functions of threads: they read and draw.
    def page(request: Request) -> Response:
        found = latest.page()
        if found is None:
            content = _not_yet(latest.state().problem)
            later = headers | {"Retry-After": str(round(EVERY))}
            return HTMLResponse(content, 503, headers=later)
        content, etag = found
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers | {"ETag": etag})
        return HTMLResponse(content, headers=headers | {"ETag": etag})

    def metrics(_: Request) -> Response:
        return Response(exposition(latest.state()), media_type=CONTENT_TYPE)

    def healthz(_: Request) -> Response:
        problem = latest.state().problem
        return JSONResponse({"status": problem or "ok"}, 503 if problem else 200)

    names = list(_LOOPBACKS) if only_here else ["*"]
    return Starlette(
        routes=[Route("/", page), Route("/metrics", metrics), Route("/healthz", healthz)],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=names),
            Middleware(GZipMiddleware, minimum_size=1000),
        ],
    )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        reason = os_reason(error).partition(" (")[0]  # Python adds what it was doing
        raise SettingsError(
            f"cannot listen at {host}, port {port}: {reason}; give another --host or --port"
        ) from None


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(script().encode()).digest()).decode()
    allowed = {
        "default-src": "'none'",
        # Vega compiles what charts compute; only the page's own script may.
        "script-src": f"'sha256-{digest}' 'unsafe-eval'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{directive} {sources}" for directive, sources in allowed.items())


def _not_yet(problem: str | None) -> str:
    reason = escape(problem or "it has no figures yet")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta http-equiv="refresh" content="{round(EVERY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><title>Darkroom monitor</title>'
        f"<h1>Nothing to show yet</h1><p>{reason}.</p>"
    )
