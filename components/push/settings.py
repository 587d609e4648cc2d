"""Settings of the push step."""

from typing import Literal, Self

import pydantic

from components.push.targets import target_for
from darkroom.errors import SettingsError
from darkroom.settings import Settings


class Limits(Settings):
    """What the model server may take, on the machine that pushes. Unset: anything."""

    startup_seconds: float | None = pydantic.Field(default=None, gt=0)
    """Seconds from its start until it is ready."""

    latency_ms: float | None = pydantic.Field(default=None, gt=0)
    """Milliseconds of an answer to one photograph over REST, the 99th percentile of a hundred."""

    memory_mb: float | None = pydantic.Field(default=None, gt=0)
    """Peak memory in MB (2**20 bytes)."""


class PushSettings(Settings):
    """Where a blessed model goes."""

    destination: str | None = pydantic.Field(default=None, min_length=1)
    """Where models are pushed; its form chooses the push target. A path, or a URI with `gs://`
    or `s3://`, is the folder of a model server's versions,
    `<destination>/<version>/saved_model.pb`; `kserve://NAMESPACE/NAME?storage=gs://...` an
    InferenceService of KServe, `vertex://PROJECT/LOCATION/NAME?storage=gs://...` a model and an
    endpoint of Vertex AI, whose versions' files are in that bucket (docs/pushing.md has their
    options), `archive://FOLDER` a folder of archives with checksums. Unset: `served/<name>` in the
    folder of runs for a local run, the step's own artifact on a cluster."""

    traffic: int = pydantic.Field(default=100, ge=0, le=100)
    """The share of requests that a new version gets, in percent. Below 100 it is a canary:
    `darkroom promote DEST` makes it serve, `darkroom rollback DEST` takes it back. At 0 it answers
    none, as for shadow traffic (docs/serving.md). Where nothing serves yet, the first version gets
    all. On a folder or bucket the canary is read by `darkroom
    serve` alone."""

    keep: int | None = pydantic.Field(default=None, ge=1)
    """How many versions stay at the destination, those rolled back counted; older ones are removed
    after a push, never the one that serves, nor a canary. Unset: all."""

    rolled_back: Literal["refuse", "push"] = "refuse"
    """What becomes of a model that is the very one of a version that was rolled back: `refuse`
    ends the push with an error; `push` makes it a new version. `darkroom rollback DEST --to N`
    makes version N itself serve again."""

    proof: Literal["photographs", "synthetic"] = "photographs"
    """What a version carries as its proof, with the answers to it: photographs of the test split,
    or made images, where the photographs may not travel; their embeddings do not then either, of
    which they could be made out roughly."""

    signing_key: str | None = pydantic.Field(default=None, min_length=1)
    """File of the private key, an elliptic curve's in PEM, that signs a version's files. Whoever
    has the public key can check them: `darkroom verify`, the model server, or the OpenSSF's
    `model_signing`. Unset: versions are not signed."""

    try_server: bool = True
    """Whether batch prediction and the model server, through all its doors, answer the proof too
    before the model is pushed; some twenty seconds."""

    limits: Limits = Limits()
    """What it may take then."""

    @pydantic.model_validator(mode="after")
    def _limits_need_the_server(self) -> Self:
        if not self.try_server and self.limits != Limits():
            raise ValueError("limits are those of the server: with try_server false none is held")
        return self

    @pydantic.model_validator(mode="after")
    def _canaries_need_a_target_that_takes_them(self) -> Self:
        if self.destination is not None and self.traffic < 100:
            target = target_for(self.destination)
            if not target.TAKES_CANARIES:
                raise ValueError(f"{self.destination} takes no canaries: set push.traffic to 100")
        return self

    @pydantic.field_validator("destination")
    @classmethod
    def _check_destination(cls, destination: str | None) -> str | None:
        if destination is not None:
            try:
                target_for(destination)
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return destination
