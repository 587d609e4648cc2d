"""Settings of the push step."""

from typing import Literal

import pydantic

from components.push.targets import target_for
from darkroom.errors import SettingsError
from darkroom.settings import Settings


class PushSettings(Settings):
    """Where a blessed model goes."""

    destination: str | None = pydantic.Field(default=None, min_length=1)
    """Where models are pushed; its form chooses the push target. A path, or a URI with `gs://`
    or `s3://`, is the folder of a model server's versions,
    `<destination>/<version>/saved_model.pb`; `kserve://NAMESPACE/NAME?storage=URI` an
    InferenceService of KServe, whose versions are in that bucket. Unset: `served/<name>` in the
    folder of runs for a local run, the step's own artifact on a cluster."""

    traffic: int = pydantic.Field(default=100, ge=1, le=100)
    """The share of requests that a new version gets, in percent. Below 100 it is a canary:
    `darkroom promote DEST` makes it serve, `darkroom rollback DEST` takes it back. Where nothing
    serves yet, the first version gets all. On a folder or bucket the canary is read by `darkroom
    serve` alone."""

    keep: int | None = pydantic.Field(default=None, ge=1)
    """How many versions stay at the destination, those rolled back counted; older ones are removed
    after a push, never the one that serves, nor a canary. Unset: all."""

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
