"""A predict request of TF Serving's gRPC answered by a loaded model.

Messages: https://github.com/tensorflow/serving/tree/master/tensorflow_serving/apis
"""

from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

from components.serve.calls.batching import Calls
from components.serve.calls.signature_call import Array, input_specs
from components.serve.calls.signature_inputs import check_counts, check_names, check_outputs
from components.serve.protocols.tensor_proto import array_of, fill
from components.serve.versions.loaded_model import LoadedModel
from darkroom.artifacts.model import SERVING_DEFAULT


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
    check_outputs(request.output_filter, signature.structured_outputs)
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
