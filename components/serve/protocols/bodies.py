"""The bodies of requests and answers, as the OpenAPI document describes them.

The routes read and write them on their own; a fuzz holds that these are theirs.
"""

from typing import Any, Literal

import pydantic


class Error(pydantic.BaseModel):
    """A refusal."""

    error: str = pydantic.Field(description="What is wrong, in one line.")


class Bytes(pydantic.BaseModel):
    """Bytes, such as those of a photograph, in base64."""

    model_config = pydantic.ConfigDict(extra="forbid")
    b64: str


Value = float | str | bool | list[Any] | Bytes
"""A value of an input, or lists of values."""
Values = Value | dict[str, Value]
"""A value of each input by its name; of a single input without it."""


class Instances(pydantic.BaseModel):
    """Values by instance."""

    instances: list[Values] = pydantic.Field(min_length=1)
    signature_name: str | None = None


class Inputs(pydantic.BaseModel):
    """Values by input, each a list with one an instance."""

    inputs: Values
    signature_name: str | None = None


class PredictRequest(pydantic.RootModel[Instances | Inputs]):
    """A predict request in TF Serving's form."""


class Predictions(pydantic.BaseModel):
    """The answer to `instances`."""

    predictions: list[Any]


class Outputs(pydantic.BaseModel):
    """The answer to `inputs`."""

    outputs: Any


class PredictResponse(pydantic.RootModel[Predictions | Outputs]):
    """A predict answer in TF Serving's form."""


class Explanation(pydantic.BaseModel):
    """What of a photograph an answer follows from."""

    label: str
    label_index: int
    probability: float
    method: Literal["occlusion"]
    effects: list[list[float]]
    picture: Bytes


class ExplainResponse(pydantic.BaseModel):
    """The answer to an explain request."""

    explanations: list[Explanation]


class Status(pydantic.BaseModel):
    """Why a version does not serve."""

    error_code: str
    error_message: str


class VersionStatus(pydantic.BaseModel):
    """The state of a version."""

    version: str
    state: Literal["AVAILABLE", "LOADING", "END"]
    status: Status


class ModelStatus(pydantic.BaseModel):
    """The states of a model's versions."""

    model_version_status: list[VersionStatus]
    ready: bool


class ModelSpec(pydantic.BaseModel):
    """What answered."""

    name: str
    signature_name: str
    version: str


class ModelMetadata(pydantic.BaseModel):
    """A version's signatures, and the names of its labels."""

    model_spec: ModelSpec
    metadata: dict[str, Any]
