"""The page at `/`, where people try the model with photographs of their own."""

import base64
import hashlib
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from html import escape
from pathlib import Path

from fastapi import Request, Response
from fastapi.responses import JSONResponse

_PAGE = Path(__file__).with_name("page.html")
_NAME, _NAMES = "{{ name }}", "{{ names }}"
"""Where the page says the first model's name, and where those of all, as JSON."""
_VARY = {"Vary": "Accept"}


class Page:
    """The page for browsers, and liveness for all others, who have always had it at `/`.

    The page is one file that asks nobody but this server: its Content-Security-Policy allows its
    own style and script, by their digests, and requests to where it came from.

    Args:
        names: The models' names.
        live: Gives KServe's answer about liveness.
    """

    def __init__(self, names: Sequence[str], live: Callable[[], Awaitable[dict[str, str]]]) -> None:
        template = _PAGE.read_text(encoding="utf-8")
        values = {_NAME: names[0], _NAMES: json.dumps(list(names))}
        # In one go: a name may hold the other's place.
        self._content = re.sub("{{ names? }}", lambda place: escape(values[place[0]]), template)
        self._headers = _VARY | {
            "Content-Security-Policy": _policy(template),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
        }
        self._live = live

    async def answer(self, request: Request) -> Response:
        """The page, or liveness where the request does not name HTML as what it takes."""
        kinds = request.headers.get("accept", "").lower().split(",")
        if any(kind.partition(";")[0].strip() == "text/html" for kind in kinds):
            return Response(self._content, headers=self._headers, media_type="text/html")
        return JSONResponse(await self._live(), headers=_VARY)


def _policy(page: str) -> str:
    allowed = {
        "default-src": "'none'",
        "script-src": _digest_of("script", page),
        "style-src": _digest_of("style", page),
        "img-src": "blob: data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{directive} {sources}" for directive, sources in allowed.items())


def _digest_of(element: str, page: str) -> str:
    (content,) = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
    return f"'sha256-{digest}'"
