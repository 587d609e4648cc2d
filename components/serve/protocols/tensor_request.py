"""A predict request of TF Serving's gRPC answered by a loaded model.

Messages: https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis
"""

from collections.abc import Sequence
from typing import Any

from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from components.serve.calls.batching import Calls
from components.serve.calls.signature_call import Array, input_specs
from components.serve.calls.signature_inputs import check_counts, check_names
from components.serve.errors import RequestError
from components.serve.protocols.tensor_proto import array_of, fill
from components.serve.versions.loaded_model import LoadedModel
from darkroom.artifacts.model import SERVING_DEFAULT
from darkroom.settings import nearest


def predict_tensors(
    model: LoadedModel, request: PredictRequest, batches: Calls, max_bytes: int
) -> PredictResponse:
    """Answers a predict request.

    Args:
        model: The model.
        request: The request.
        batches: What calls signatures.
        max_bytes: Bytes of an input, at most.

    Raises:
        RequestError: The request is wrong.
    """
    name = request.model_spec.signature_name or SERVING_DEFAULT
    signature = model.signature(name)
    specs = input_specs(signature)
    _check_filter(request.output_filter, signature.structured_outputs)
    check_names(request.inputs.keys(), specs)
    inputs: dict[str, Array] = {
        key: array_of(key, request.inputs[key], spec, max_bytes) for key, spec in specs.items()
    }
    check_counts(inputs, specs)
    outputs = batches.call(signature, inputs)
    response = PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.version.value = model.version.number
    response.model_spec.signature_name = name
    for key in request.output_filter or outputs:
        fill(response.outputs[key], outputs[key])
    return response


def _check_filter(names: Sequence[str], outputs: dict[str, Any]) -> None:
    for name in names:
        if name not in outputs:
            raise RequestError(f"unknown output '{name}'{nearest(name, outputs)}")
    if len(set(names)) < len(names):
        raise RequestError("output_filter names an output twice")
