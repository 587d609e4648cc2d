"""The server's own limit: requests that were made before, sent as fast as it answers.

Usage: remote_requests.py rest|grpc PORT FOLDER BATCH PARALLEL SECONDS

Prints photographs a second.
"""

import base64
import http.client
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST = 2_000
"""Photographs that are sent, again and again."""


def _rest(port: int, images: list[bytes]) -> Callable[[], Callable[[], None]]:
    instances = [{"b64": base64.b64encode(image).decode()} for image in images]
    body = json.dumps({"signature_name": "serving_default", "instances": instances}).encode()

    def connected() -> Callable[[], None]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

        def send() -> None:
            connection.request("POST", "/v1/models/model:predict", body)
            response = connection.getresponse()
            response.read()
            assert response.status == 200, response.status

        return send

    return connected


def _grpc(port: int, images: list[bytes]) -> Callable[[], Callable[[], None]]:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis.predict_pb2 import PredictRequest
    from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

    request = PredictRequest()
    request.model_spec.name = "model"
    request.model_spec.signature_name = "serving_default"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(images))
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    stub: Any = PredictionServiceStub(grpc.insecure_channel(f"127.0.0.1:{port}", options))

    def connected() -> Callable[[], None]:
        return lambda: stub.Predict(request, timeout=120)

    return connected


def main(api: str, port: str, folder: str, batch: str, parallel: str, seconds: str) -> None:
    """Asks for some seconds, and prints the rate."""
    files = sorted(Path(folder).glob("*/*.jpg"))[:MOST]
    size = int(batch)
    groups = [files[first : first + size] for first in range(0, len(files) - size + 1, size)]
    makes = {"rest": _rest, "grpc": _grpc}[api]
    made = [makes(int(port), [file.read_bytes() for file in group]) for group in groups]
    counts = [0] * int(parallel)
    begin = time.perf_counter()

    def client(number: int) -> None:
        sends = [connected() for connected in made]
        for send in itertools.islice(itertools.cycle(sends), number, None):
            if time.perf_counter() - begin > float(seconds):
                return
            send()
            counts[number] += size

    threads = [threading.Thread(target=client, args=(n,)) for n in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(counts) / (time.perf_counter() - begin))


if __name__ == "__main__":
    main(*sys.argv[1:])
