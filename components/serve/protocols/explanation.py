"""KServe's V1 verb `:explain`: what of a photograph the model's answer follows from."""

import base64
import json

from components.serve.calls.batching import Calls
from components.serve.calls.occlusion import occlusion_of
from components.serve.calls.signature_call import input_specs
from components.serve.errors import RequestError
from components.serve.protocols.json_request import inputs_of, parse_request
from components.serve.settings import ServeSettings
from components.serve.versions.loaded_model import LoadedModel
from darkroom.artifacts.model import IMAGE_BYTES, XAI_MODEL, XAI_PREPROCESS


def explain_json(model: LoadedModel, body: bytes, calls: Calls, settings: ServeSettings) -> bytes:
    """Explains the answer to a photograph.

    Args:
        model: The model.
        body: The request's body, that of a predict request with one photograph.
        calls: What calls signatures.
        settings: The limits of a call.

    Returns:
        The answer's body, whose `explanations` are one: `label`, `label_index`, `probability`,
        `effects` (as `Occlusion` has them, a list a row) and `picture`, a PNG in base64.

    Raises:
        RequestError: The request is wrong, or the model has no signatures for it.
    """
    import tensorflow as tf

    preprocess, network = model.signature(XAI_PREPROCESS), model.signature(XAI_MODEL)
    photographs = inputs_of(parse_request(body), input_specs(preprocess), settings.max_instances)[
        IMAGE_BYTES
    ]
    if len(photographs) > 1:
        raise RequestError("one photograph a request is explained", status=413)
    size = min(settings.batch_size, settings.max_instances)
    found = occlusion_of(preprocess, network, photographs[0], calls, size)
    picture = base64.b64encode(tf.io.encode_png(found.picture).numpy()).decode()
    explanation = {
        "label": found.label,
        "label_index": found.label_index,
        "probability": found.probability,
        "method": "occlusion",
        "effects": found.effects.tolist(),
        "picture": {"b64": picture},
    }
    return json.dumps({"explanations": [explanation]}, ensure_ascii=False).encode()
