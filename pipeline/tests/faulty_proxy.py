"""A proxy before a store's server, which is busy, loses answers or refuses when a test says so."""

import http.client
import http.server
import itertools
import json
import time
import urllib.parse


class FaultyProxy(http.server.ThreadingHTTPServer):
    """Passes requests on. Of `lose_answers` uploads the answer is lost: the object is stored.

    Where `busy` is set, every so many-th request is answered 429, 503, or by a closed connection,
    in turn. Every answer comes `delay` seconds late.

    Args:
        address: The server that it stands before.
    """

    def __init__(self, address: str) -> None:
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.upstream = urllib.parse.urlsplit(address).netloc
        self.lose_answers = 0
        self.refuse = False
        self.busy = 0
        self.delay = 0.0
        self._requests = itertools.count(1)

    def fault(self) -> str:
        """What is wrong with the next request; nothing with most."""
        number = next(self._requests)
        if not self.busy or number % self.busy:
            return ""
        return ("429", "503", "cut")[number // self.busy % 3]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    server: FaultyProxy
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(self.server.delay)
        if self.server.refuse:
            return self._send(403, _error("no storage.objects.create access"))
        if fault := self.server.fault():
            if fault == "cut":
                self.close_connection = True
                return None
            return self._send(int(fault), _error("slow down"))
        connection = http.client.HTTPConnection(self.server.upstream)
        connection.request(self.command, self.path, body, dict(self.headers))
        with connection.getresponse() as response:
            status, content = response.status, response.read()
            kind = response.headers.get("Content-Type", "application/json")
        if self.command == "POST" and "/upload/" in self.path and self.server.lose_answers:
            self.server.lose_answers -= 1
            return self._send(503, _error("backend error"))
        return self._send(status, content, kind)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    def _send(self, status: int, content: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        pass


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message}}).encode()
