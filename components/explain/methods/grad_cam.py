"""Grad-CAM (Selvaraju et al., ICCV 2017): where on the last feature map an answer comes from."""

import numpy as np

from components.explain.explained_model import ExplainedModel, Floats
from components.explain.methods import Attribution
from components.explain.settings import ExplainSettings


def grad_cam(
    model: ExplainedModel,
    pixels: Floats,
    label: int,
    settings: ExplainSettings,  # noqa: ARG001 - the methods are called alike
) -> Attribution:
    """Weighs the channels of the feature map by how much a label's log odds grow with them.

    It needs one call and is coarse: a cell of the map is some 32 pixels wide. What speaks against
    the label is left out, and values are no shares of the probability, so there is no error.

    Args:
        model: The model.
        pixels: The photograph, float32 [H, W, 3].
        label: The label's place.
        settings: Not used.
    """
    from scipy.ndimage import zoom

    features, gradients = model.feature_gradients(pixels, label)
    weights = gradients.mean(axis=(0, 1))
    cells = np.maximum(features @ weights, 0)
    scale = np.divide(pixels.shape[:2], cells.shape)
    drawn = zoom(cells.astype(np.float64), scale, order=3, mode="nearest", grid_mode=True)
    return Attribution(np.maximum(drawn, 0).astype(np.float32), None, 1)
