"""Settings of the push step."""

from typing import Literal

import pydantic

from components.push.targets import target_for
from darkroom.errors import SettingsError
from darkroom.settings import Settings


class PushSettings(Settings):
    """Where a blessed model goes."""

    destination: str | None = pydantic.Field(default=None, min_length=1)
    """Where models are pushed; its form chooses the push target. A path is the folder of a model
    server's versions, `<destination>/<version>/saved_model.pb`. Unset: `served/<name>` in the
    folder of runs for a local run, the step's own artifact on a cluster."""

    rolled_back: Literal["refuse", "push"] = "refuse"
    """What becomes of a model that is the very one of a version that was rolled back: `refuse`
    ends the push with an error; `push` makes it a new version. `darkroom rollback DEST --to N`
    makes version N itself serve again."""

    @pydantic.field_validator("destination")
    @classmethod
    def _check_destination(cls, destination: str | None) -> str | None:
        if destination is not None:
            try:
                target_for(destination)
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return destination
