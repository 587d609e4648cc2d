"""What Vertex is told of explanations is what its own messages take."""

import json
from typing import get_args

import pytest
from google.cloud.aiplatform_v1.types import ExplanationMetadata, ExplanationSpec

from components.explain.settings import ExplainSettings, Method
from components.explain.vertex import explanation_metadata, explanation_specification
from darkroom.artifacts.model import PREDICTION_OUTPUTS

PARAMETERS = {
    "xrai": "xrai_attribution",
    "integrated_gradients": "integrated_gradients_attribution",
    "kernel_shap": "sampled_shapley_attribution",
}


@pytest.mark.slow
@pytest.mark.parametrize("method", get_args(Method))
def test_the_specification_is_one_of_vertex(method: Method) -> None:
    settings = ExplainSettings(method=method, steps=2000, baseline="black_and_white")
    made = explanation_specification(settings)
    if method not in PARAMETERS:
        assert made is None
        return
    message = ExplanationSpec.from_json(json.dumps(made))
    parameters = getattr(message.parameters, PARAMETERS[method])
    # Its documentation: from 1 to 100 steps, from 1 to 50 paths.
    if method == "kernel_shap":
        assert 1 <= parameters.path_count <= 50
    else:
        assert parameters.step_count == 100
    assert message.metadata == ExplanationMetadata.from_json(
        json.dumps(explanation_metadata(settings))
    )
    image = message.metadata.inputs["image"]
    assert (image.input_tensor_name, image.modality) == ("image_bytes", "image")
    assert list(image.input_baselines) == [0.0, 255.0]
    assert message.metadata.outputs["probabilities"].output_tensor_name in PREDICTION_OUTPUTS
