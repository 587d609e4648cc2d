"""Settings of what starts runs without being asked."""

from typing import Self

import pydantic

from darkroom.settings import Settings
from pipeline.settings.resources import Duration, seconds

LONGEST_WAIT = 480
"""Seconds that an event may wait: its sender takes no answer after ten minutes for a failure."""


class TriggerSettings(Settings):
    """When new photographs, or a fall in quality, start a run on a cluster."""

    minimum_new_photographs: int = pydantic.Field(default=1, ge=1)
    """Photographs that must have come, or changed, since those that the last run was started
    for. A fall in quality needs none."""
    minimum_interval: Duration = "1h"
    """Time from the start of one run to the start of the next, such as `12h`."""
    debounce: Duration = "2m"
    """How long an event waits for further ones, at most `8m`; all that arrive meanwhile are handled
    once."""
    state: str = ""
    """Folder that all triggers of the pipeline share: a bucket's, or one on a volume that all
    mount. Empty: `triggers` in `cluster.vertex.pipeline_root`."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if seconds(self.debounce) > LONGEST_WAIT:
            raise ValueError(f"debounce is {self.debounce}, and may be 8m at most")
        return self
