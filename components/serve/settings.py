"""Settings of the model server."""

from typing import Self

import pydantic

from darkroom.settings import Settings


class ServeSettings(Settings):
    """The served model's name and the ports."""

    name: str | None = pydantic.Field(default=None, min_length=1, pattern=r"^[^/]+$")
    """The model's name in `/v1/models/NAME`; the directory's own name if unset."""

    port: int = pydantic.Field(default=8501, ge=1, le=65535)
    """The port of the REST API."""

    grpc_port: int | None = pydantic.Field(default=None, ge=1, le=65535)
    """The port of the gRPC API (KServe's V2 protocol); no gRPC if unset."""

    poll_seconds: float = pydantic.Field(default=2.0, gt=0)
    """Seconds between two checks for versions that were pushed or rolled back."""

    @pydantic.model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if self.port == self.grpc_port:
            raise ValueError("port and grpc_port must differ")
        return self
