"""Asks a server by NVIDIA Triton's own client; run by a test as a process of its own.

Usage: python -m components.serve.tests.triton_client http|grpc ADDRESS PROBABILITIES
"""

import importlib
import json
import sys
from typing import Any

import numpy as np
import pytest
from tritonclient.utils import InferenceServerException

from components.serve.tests.small_model import photograph

IMAGES = np.array([photograph(11), photograph(12)], dtype=object)


def main(protocol: str, address: str, probabilities: str) -> None:
    """Asks what `tritonclient` has in common with V2, and checks the answers."""
    module = importlib.import_module(f"tritonclient.{protocol}")
    client = module.InferenceServerClient(address)
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("flowers")
    assert client.is_model_ready("flowers", "3")
    assert client.get_server_metadata()
    as_json = {} if protocol == "http" else {"as_json": True}
    metadata = client.get_model_metadata("flowers", "3", **as_json)
    assert metadata["versions"] == ["3"]
    assert metadata["inputs"][0]["name"] == "image_bytes"
    image = module.InferInput("image_bytes", [2], "BYTES")
    image.set_data_from_numpy(IMAGES)
    chosen = [module.InferRequestedOutput("probabilities"), module.InferRequestedOutput("label")]
    for version in ("", "3"):
        answer = client.infer("flowers", [image], version, outputs=chosen)
        expected = json.loads(probabilities)
        np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-6)
        assert answer.as_numpy("label").shape == (2,)
        assert answer.as_numpy("label_index") is None
        assert answer.get_response(**as_json)["model_version"] == "3"
    refuses(client, "version 9 is not served", "flowers", [image], "9")
    refuses(client, "unknown model 'other'", "other", [image])
    image.set_data_from_numpy(np.array([IMAGES[0], b"no image"], dtype=object))
    refuses(client, "instance 1: Unknown image file format", "flowers", [image])
    print("answered")


def refuses(client: Any, message: str, *request: Any) -> None:
    """Checks that a request is refused, and how."""
    with pytest.raises(InferenceServerException, match=message):
        client.infer(*request)


if __name__ == "__main__":
    main(*sys.argv[1:])
