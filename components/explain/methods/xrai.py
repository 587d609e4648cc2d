"""XRAI (Kapishnikov et al., ICCV 2019): Integrated Gradients, summed over regions."""

import numpy as np

from components.explain.explained_model import ExplainedModel, Floats
from components.explain.methods import Attribution
from components.explain.methods.integrated_gradients import by_colour
from components.explain.settings import ExplainSettings


def xrai(
    model: ExplainedModel, pixels: Floats, label: int, settings: ExplainSettings
) -> Attribution:
    """Ranks regions by what they add to a label's probability, as the saliency library does.

    Args:
        model: The model.
        pixels: The photograph, float32 [H, W, 3].
        label: The label's place.
        settings: Baseline, steps and the largest error of the gradients' sum.
    """
    from saliency import core

    base, error, steps = by_colour(model, pixels, label, settings)
    # With the base attribution given it asks the model nothing.
    values = core.XRAI().GetMask(pixels, None, base_attribution=base)
    return Attribution(np.asarray(values, np.float32), error, steps)
