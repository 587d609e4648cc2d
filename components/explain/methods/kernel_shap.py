"""KernelSHAP (Lundberg and Lee, NeurIPS 2017) over regions: it asks for answers only."""

from typing import Any

import numpy as np

from components.explain.explained_model import ExplainedModel, Floats
from components.explain.methods import Attribution, baselines
from components.explain.settings import ExplainSettings

_SMALLEST = 1e-6


def kernel_shap(
    model: ExplainedModel, pixels: Floats, label: int, settings: ExplainSettings
) -> Attribution:
    """Attributes a label's probability to regions of like colour, of which some are hidden.

    Args:
        model: The model.
        pixels: The photograph, float32 [H, W, 3].
        label: The label's place.
        settings: Baseline, regions, samples and seed.
    """
    import shap
    from skimage.segmentation import slic

    regions = slic(pixels / 255, n_segments=settings.regions, start_label=0)
    hidden = np.mean(baselines(settings.baseline, pixels), axis=0)
    count = int(regions.max()) + 1

    def answers(shown: Any) -> Any:
        """Probabilities with some regions shown, [N] of bool [N, count]."""
        kept = np.asarray(shown, bool)[:, regions][..., np.newaxis]
        return model.probabilities(np.where(kept, pixels, hidden).astype(np.float32))[:, label]

    np.random.seed(settings.seed)
    explainer = shap.KernelExplainer(answers, np.zeros((1, count)))
    values = explainer.shap_values(
        np.ones((1, count)), nsamples=settings.samples, silent=True, l1_reg=0
    )[0]
    due = float(answers(np.ones((1, count)))[0] - answers(np.zeros((1, count)))[0])
    error = abs(float(values.sum()) - due) / max(abs(due), _SMALLEST)
    sizes = np.bincount(regions.ravel(), minlength=count)
    return Attribution((values / sizes)[regions].astype(np.float32), error, settings.samples)
