"""Settings of the push step."""

import pydantic

from components.push.targets import target_for
from darkroom.errors import SettingsError
from darkroom.settings import Settings


class PushSettings(Settings):
    """Where a blessed model goes."""

    destination: str | None = pydantic.Field(default=None, min_length=1)
    """Folder of a model server's versions, `<destination>/<version>/saved_model.pb`. Unset: for a
    run here `served/<name>` in the folder of runs, on a cluster the step's own artifact."""

    @pydantic.field_validator("destination")
    @classmethod
    def _check_destination(cls, destination: str | None) -> str | None:
        if destination is not None:
            try:
                target_for(destination)
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return destination
