"""KernelSHAP (Lundberg and Lee, NeurIPS 2017) over regions: it asks for answers only.

The `shap` package has it too; its numba cannot be locked beside this numpy for every platform.
"""

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
    from skimage.segmentation import slic

    # Smoothed: of noise it makes few regions, as large as all of it.
    regions = slic(pixels / 255, n_segments=settings.regions, sigma=1, start_label=0)
    hidden = np.mean(baselines(settings.baseline, pixels), axis=0)
    count = int(regions.max()) + 1

    def answers(shown: Any) -> Any:
        """Probabilities with some regions shown, [N] of bool [N, count]."""
        kept = shown[:, regions][..., np.newaxis]
        return model.probabilities(np.where(kept, pixels, hidden).astype(np.float32))[:, label]

    nothing, everything = answers(np.array([[False] * count, [True] * count])).tolist()
    shown = _coalitions(count, settings.samples, settings.seed)
    values = _solved(shown, answers(shown) - nothing, everything - nothing)
    error = abs(float(values.sum()) - (everything - nothing)) / max(
        abs(everything - nothing), _SMALLEST
    )
    sizes = np.bincount(regions.ravel(), minlength=count)
    return Attribution((values / sizes)[regions].astype(np.float32), error, settings.samples)


def _coalitions(count: int, samples: int, seed: int) -> Any:
    """Which regions are shown, bool [samples, count], each with its opposite.

    Sizes are drawn as often as the Shapley kernel weighs them, so that all then weigh alike.
    """
    generator = np.random.default_rng(seed)
    sizes = np.arange(1, count)
    weights = 1 / (sizes * (count - sizes))
    drawn = generator.choice(sizes, -(-samples // 2), p=weights / weights.sum())
    ranks = generator.random((len(drawn), count)).argsort(axis=1)
    shown = ranks < drawn[:, np.newaxis]
    return np.concatenate([shown, ~shown])


def _solved(shown: Any, gains: Any, due: float) -> Any:
    """The least squares of what each region adds, under the condition that they sum to `due`."""
    # The last region's share is what the others leave.
    last = shown[:, -1:].astype(np.float64)
    found, *_ = np.linalg.lstsq(shown[:, :-1] - last, gains - last[:, 0] * due, rcond=None)
    return np.append(found, due - found.sum())
