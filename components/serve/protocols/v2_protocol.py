"""KServe's V2 protocol (gRPC, and REST under /v2) over a model's `serving_default`.

V2's JSON has no form for bytes that are not text, so send images over gRPC, as binary tensors
over REST, or in TF Serving's JSON.
"""

from collections.abc import Iterator
from typing import Any

import kserve
import numpy as np
from kserve.utils.numpy_codec import from_np_dtype
from kserve.utils.utils import generate_uuid

from components.serve.calls.batching import Calls
from components.serve.calls.signature_call import Array, input_specs
from components.serve.calls.signature_inputs import check_counts, check_names, check_outputs
from components.serve.errors import RequestError
from components.serve.protocols.v2_request import strings_of
from components.serve.versions.loaded_model import LoadedModel
from darkroom.artifacts.model import SERVING_DEFAULT


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def predict_v2(
    model: LoadedModel, request: kserve.InferRequest, batches: Calls
) -> kserve.InferResponse:
    """Answers a V2 inference request.

    Raises:
        RequestError: The request is wrong.
    """
    signature = model.signature(SERVING_DEFAULT)
    # KServe leaves out the others over REST alone.
    names = [output.name for output in request.request_outputs or ()]
    check_outputs(names, signature.structured_outputs)
    inputs = _inputs(request, input_specs(signature))
    outputs = batches.call(signature, inputs)
    return kserve.InferResponse(
        response_id=request.id or generate_uuid(),
        model_name=request.model_name,
        model_version=str(model.version.number),
        infer_outputs=[
            _output(name, outputs[name], request.use_binary_outputs) for name in names or outputs
        ],
        use_binary_outputs=request.use_binary_outputs,
        requested_outputs=request.request_outputs,
    )


def content_of(request: kserve.InferRequest) -> Iterator[bytes]:
    """A request's values in bytes, to share requests between versions by."""
    for tensor in request.inputs:
        # KServe keeps binary values here, and has no public name for them.
        raw = tensor._raw_data
        yield repr(tensor.data).encode() if raw is None else bytes(raw)


def model_metadata(name: str, model: LoadedModel) -> dict[str, Any]:
    """What V2 says of a version: its inputs and outputs, with -1 for a size that may vary."""
    signature = model.signature(SERVING_DEFAULT)
    return {
        "name": name,
        "versions": [str(model.version.number)],
        "platform": "tensorflow_savedmodel",
        "inputs": _types(input_specs(signature)),
        "outputs": _types(signature.structured_outputs),
    }


def _types(specs: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "datatype": from_np_dtype(np.dtype(spec.dtype.as_numpy_dtype)),
            "shape": [-1 if size is None else size for size in spec.shape],
        }
        for name, spec in specs.items()
    ]


def _inputs(request: kserve.InferRequest, specs: dict[str, Any]) -> dict[str, Array]:
    tensors = {tensor.name: tensor for tensor in request.inputs}
    check_names(tensors, specs)
    inputs = {name: _array(tensor, specs[name]) for name, tensor in tensors.items()}
    check_counts(inputs, specs)
    return inputs


def _array(tensor: kserve.InferInput, spec: Any) -> Array:
    wanted = np.dtype(spec.dtype.as_numpy_dtype)
    raw = tensor._raw_data
    try:
        is_raw_text = raw is not None and tensor.datatype == "BYTES"
        array: Array = strings_of(raw, tensor.shape) if is_raw_text else tensor.as_numpy()
    # KServe's conversion raises whatever the values lead it to.
    except Exception as error:
        raise RequestError(f"input '{tensor.name}': {_first_line(error)}") from None
    is_text = wanted.kind == "O"
    if array.dtype != wanted:
        datatype = from_np_dtype(wanted)
        raise RequestError(f"input '{tensor.name}' takes {datatype}, got {tensor.datatype}")
    if not spec.shape.is_compatible_with(array.shape):
        raise RequestError(f"input '{tensor.name}' takes shape {spec.shape}, got {array.shape}")
    if is_text:
        texts = [
            item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item
            for item in array.flat
        ]
        if not all(isinstance(text, bytes) for text in texts):
            raise RequestError(f"input '{tensor.name}' takes text or bytes")
        array = np.array(texts, dtype=object).reshape(array.shape)
    return array


def _output(name: str, array: Array, binary: bool) -> kserve.InferOutput:
    output = kserve.InferOutput(name, list(array.shape), from_np_dtype(array.dtype))
    output.set_data_from_numpy(array, binary_data=binary)
    return output
