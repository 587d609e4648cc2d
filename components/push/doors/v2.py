"""KServe's V2 protocol (Open Inference), over REST and gRPC; Triton speaks it too."""

import json
import struct
from typing import Any

from components.push.doors.credentials import check_known, headers_for
from components.push.doors.door import TIMEOUT, Answer
from components.push.doors.grpc_door import GrpcDoor
from components.push.doors.numbers import probabilities_of, version_number
from darkroom.errors import StepError
from darkroom.servers import http_options

_HEADER = "Inference-Header-Content-Length"
_INPUT = {"name": "image_bytes", "datatype": "BYTES", "shape": [1]}
_OUTPUT = "probabilities"


class V2RestDoor:
    """A model's `/infer`, with the photograph as a binary tensor.

    Args:
        url: The model's address, such as `http://127.0.0.1:8501/v2/models/flowers`.
    """

    def __init__(self, url: str) -> None:
        import httpx

        self.name = f"V2 {url}"
        self._url = f"{url.removesuffix('/infer')}/infer"
        self._client = httpx.Client(timeout=TIMEOUT, headers=headers_for(url), **http_options(url))

    def ask(self, image: bytes) -> Answer:
        """Asks for one photograph; see `Door`."""
        import httpx

        tensor = {**_INPUT, "parameters": {"binary_data_size": len(image) + 4}}
        wanted = {"name": _OUTPUT, "parameters": {"binary_data": False}}
        head = json.dumps({"inputs": [tensor], "outputs": [wanted]}).encode()
        body = head + struct.pack("<I", len(image)) + image
        headers = {_HEADER: str(len(head)), "Content-Type": "application/octet-stream"}
        try:
            response = self._client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise StepError(f"{self.name} does not answer: {error}") from None
        check_known(self.name, response.status_code)
        if response.status_code != 200:
            said = response.text[:200]
            raise StepError(f"{self.name} answers {response.status_code}: {said}")
        try:
            answer = response.json()
            (given,) = [each for each in answer["outputs"] if each["name"] == _OUTPUT]
            return Answer(probabilities_of(given["data"], self.name), _version(answer))
        except (ValueError, KeyError, TypeError):
            raise StepError(f"{self.name} gives no '{_OUTPUT}'") from None

    def close(self) -> None:
        """Ends its connection."""
        self._client.close()


class V2GrpcDoor(GrpcDoor):
    """A model's ModelInfer.

    Args:
        scheme: `grpc`, or `grpcs` for one over TLS.
        host: `HOST:PORT`.
        model: The model's name.
    """

    def __init__(self, scheme: str, host: str, model: str) -> None:
        from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

        super().__init__("V2", GRPCInferenceServiceStub, scheme, host, model)

    def ask(self, image: bytes) -> Answer:
        """Asks for one photograph; see `Door`."""
        import numpy as np
        from kserve.protocol.grpc import grpc_predict_v2_pb2 as v2

        tensor = v2.ModelInferRequest.InferInputTensor(**_INPUT)
        request = v2.ModelInferRequest(model_name=self._model, inputs=[tensor])
        request.raw_input_contents.append(struct.pack("<I", len(image)) + image)
        answer = self._call("ModelInfer", request)
        names = [output.name for output in answer.outputs]
        if _OUTPUT not in names:
            raise StepError(f"{self.name} gives no '{_OUTPUT}'")
        place = names.index(_OUTPUT)
        datatype = answer.outputs[place].datatype
        if datatype != "FP32":
            raise StepError(f"{self.name} gives probabilities as {datatype}, not FP32")
        try:
            if answer.raw_output_contents:
                given: Any = np.frombuffer(answer.raw_output_contents[place], np.float32)
            else:
                given = list(answer.outputs[place].contents.fp32_contents)
        except (ValueError, IndexError) as error:
            raise StepError(f"{self.name} gives no whole answer: {error}") from None
        return Answer(probabilities_of(given, self.name), version_number(answer.model_version))


def _version(answer: dict[str, Any]) -> int | None:
    return version_number(str(answer.get("model_version") or ""))
