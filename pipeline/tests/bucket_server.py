"""As much of Cloud Storage's JSON API as the triggers use, its conditions included."""

import http.server
import json
import re
import threading
import urllib.parse
from typing import Any


class BucketServer(http.server.ThreadingHTTPServer):
    """Keeps objects by name. `lose_answers` uploads are kept, and answered as if they were not."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BucketHandler)
        self.objects: dict[str, bytes] = {}
        self.lock = threading.Lock()
        self.lose_answers = 0
        self.refuse = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class BucketHandler(http.server.BaseHTTPRequestHandler):
    server: BucketServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refuse:
            return self._say(403, {"error": {"message": "no storage.objects.create access"}})
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        assert query["uploadType"] == ["multipart"]
        boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"])
        assert boundary
        parts = body.split(b"--" + boundary[1].encode())
        metadata, content = (part.split(b"\r\n\r\n", 1)[1][:-2] for part in parts[1:3])
        name = json.loads(metadata)["name"]
        with self.server.lock:
            if query.get("ifGenerationMatch") == ["0"] and name in self.server.objects:
                return self._say(412, {"error": {"message": "conditionNotMet"}})
            self.server.objects[name] = content
            if self.server.lose_answers:
                self.server.lose_answers -= 1
                return self._say(503, {"error": {"message": "backend error"}})
        return self._say(200, {"name": name, "generation": "1"})

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query)
        if url.path.endswith("/o"):
            prefix = query["prefix"][0]
            items = [
                {"name": name} for name in sorted(self.server.objects) if name.startswith(prefix)
            ]
            return self._say(200, {"items": items})
        content = self.server.objects.get(self._name(url.path))
        if content is None:
            return self._say(404, {"error": {"message": "No such object"}})
        return self._send(200, content, "application/octet-stream")

    def do_DELETE(self) -> None:
        found = self.server.objects.pop(self._name(urllib.parse.urlsplit(self.path).path), None)
        self._say(204 if found is not None else 404, {})

    def _name(self, path: str) -> str:
        return urllib.parse.unquote(path.partition("/o/")[2])

    def _say(self, status: int, document: dict[str, Any]) -> None:
        self._send(
            status, b"" if status == 204 else json.dumps(document).encode(), "application/json"
        )

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass
