"""Settings of the explain step."""

from typing import Literal

import pydantic

from darkroom.settings import Settings

Method = Literal["integrated_gradients", "xrai", "grad_cam", "kernel_shap"]
Baseline = Literal["black", "grey", "white", "black_and_white"]


class ExplainSettings(Settings):
    """How answers to photographs are explained."""

    method: Method = "xrai"
    """`xrai` tells what each region adds to the probability, by the pixels' gradients;
    `integrated_gradients` what each pixel adds; `grad_cam` shows, coarsely and in one call, where
    on the last feature map the answer comes from; `kernel_shap` tells what each region adds, of any
    model, as it asks for answers only."""

    baseline: Baseline = "black"
    """The picture of nothing, which the photograph is compared with: what has its colour can have
    no attribution. `black_and_white` is the mean of both."""

    label: str | None = None
    """The label to explain; unset: the most probable one."""

    steps: int = pydantic.Field(default=32, ge=2, le=2048)
    """Pictures between baseline and photograph at which gradients are taken, to begin with."""

    mistakes: int = pydantic.Field(default=12, ge=1, le=24)
    """Worst mistakes of the evaluation that the step explains, the surest first."""

    largest_error: float = pydantic.Field(default=0.05, gt=0, lt=1)
    """Largest difference of the attributions' sum from what it should be, as a fraction; steps are
    doubled until it is met, up to 2048."""

    regions: int = pydantic.Field(default=40, ge=4, le=500)
    """Regions that `kernel_shap` divides the photograph into."""

    samples: int = pydantic.Field(default=1000, ge=50)
    """Pictures with some regions hidden that `kernel_shap` asks about."""

    seed: int = pydantic.Field(default=0, ge=0)
    """Seed of what `kernel_shap` hides."""
