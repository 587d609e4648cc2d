"""Integrated Gradients (Sundararajan, Taly and Yan, ICML 2017)."""

import numpy as np

from components.explain.explained_model import ExplainedModel, Floats
from components.explain.methods import Attribution, baselines
from components.explain.settings import ExplainSettings

MOST_STEPS = 2048
_SMALLEST = 1e-6


def integrated_gradients(
    model: ExplainedModel, pixels: Floats, label: int, settings: ExplainSettings
) -> Attribution:
    """Attributes a label's probability to pixels, as `by_colour` does, their colours summed."""
    values, error, steps = by_colour(model, pixels, label, settings)
    return Attribution(values.sum(axis=2), error, steps)


def by_colour(
    model: ExplainedModel, pixels: Floats, label: int, settings: ExplainSettings
) -> tuple[Floats, float, int]:
    """Attributes a label's probability to the colours of pixels.

    The gradients are averaged at the middles of equal steps on the way from the baseline to the
    photograph. What all pixels add is the probability less the baseline's (completeness): by how
    far it is off, the steps are doubled until the error is small enough.

    Args:
        model: The model.
        pixels: The photograph, float32 [H, W, 3].
        label: The label's place.
        settings: Baseline, steps and the largest error.

    Returns:
        What each colour of each pixel adds, float32 [H, W, 3], the error and the steps.
    """
    starts = baselines(settings.baseline, pixels)
    end = float(model.probabilities(pixels[np.newaxis])[0, label])
    begins = model.probabilities(np.stack(starts))[:, label]
    due = end - float(begins.mean())
    steps = settings.steps
    while True:
        parts = [_path(model, start, pixels, label, steps) for start in starts]
        values = np.mean(parts, axis=0, dtype=np.float64)
        error = abs(float(values.sum()) - due) / max(abs(due), _SMALLEST)
        if error <= settings.largest_error or 2 * steps > MOST_STEPS:
            return np.asarray(values, np.float32), error, steps
        steps *= 2


def _path(model: ExplainedModel, start: Floats, end: Floats, label: int, steps: int) -> Floats:
    """What each colour adds on a straight way, float64 [H, W, 3]."""
    total = np.zeros(end.shape, np.float64)
    shares = (np.arange(steps) + 0.5) / steps
    for some in np.array_split(shares, -(-steps // 64)):  # a long way need not be in memory at once
        between = start + some[:, np.newaxis, np.newaxis, np.newaxis] * (end - start)
        total += model.gradients(between.astype(np.float32), label).sum(axis=0, dtype=np.float64)
    return total / steps * (end - start)
