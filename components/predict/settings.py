"""Settings of the predict step."""

from typing import Annotated, Any, Literal

import pydantic

from darkroom.artifacts.examples import normalized
from darkroom.settings import Settings

Column = Annotated[str, pydantic.AfterValidator(normalized)]
Format = Literal["parquet", "csv", "jsonl", "tfrecord"]


def _as_several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class PredictSettings(Settings):
    """What is predicted, by which model, and how it is written."""

    data: Annotated[tuple[str, ...], pydantic.BeforeValidator(_as_several)] = ()
    """Photographs, folders of them, CSV or JSON Lines tables, examples as ingest writes them
    (their folder, or TFRecord files): paths, globs or URIs, one or a list."""
    model: str | None = None
    """A model, a folder or bucket of pushed versions (the one that serves is taken), or the
    address of a served one, such as `http://host/v1/models/flowers` or `grpc://host:8500/flowers`.
    Unset: the model that was pushed before this step, or what serves at `push.destination`."""
    image_column: Column = "image"
    """The column of a table that holds the path or URI of the image."""
    columns: tuple[Column, ...] | None = None
    """The names of the columns of a CSV without a header line, in order."""
    pass_columns: tuple[Column, ...] | None = None
    """The columns of the input that the predictions have too; unset: all. One that has the name of
    a column of ours is called `input_` and its name."""
    embedding: bool = False
    """Whether every row has the photograph's embedding."""
    format: Format = "parquet"
    """What is written. CSV has lists as JSON."""
    overwrite: bool = False
    """Whether predictions that exist are replaced; else they are kept, and nothing is done."""
    batch_size: int = pydantic.Field(default=64, ge=1)
    """Photographs a call of the model, at most."""
    batch_bytes: int = pydantic.Field(default=16_000_000, ge=1)
    """Bytes of image files a call, at most, but for a single photograph: it bounds the memory that
    decoded ones take, and the size of a request."""
    max_pixels: int = pydantic.Field(default=100_000_000, ge=1)
    """Most pixels of a photograph; one with more is rejected, as in ingest."""
    max_aspect: float = pydantic.Field(default=50.0, ge=1)
    """Longest side over shortest, at most; one beyond is rejected, as in ingest."""
    requests_per_second: float | None = pydantic.Field(default=None, gt=0)
    """Most requests a second that a worker sends to a served model; unset: as many as it takes."""
    parallel_requests: int = pydantic.Field(default=4, ge=1)
    """Requests to a served model that a worker has under way at a time."""
    patience: float = pydantic.Field(default=600.0, gt=0)
    """Seconds for which a request to a served model is tried again while it does not answer, or
    says that it is busy."""
    beam_options: tuple[str, ...] = ()
    """Options for Apache Beam, such as `["--runner", "DataflowRunner"]`; none: the step's own
    process does the work."""


class StreamSettings(Settings):
    """How arriving photographs are predicted."""

    predict: PredictSettings = PredictSettings()
    """As in the predict step; `data` is what arrives."""
    window: int = pydantic.Field(default=60, ge=1)
    """Seconds of arrivals that make one folder of predictions, and between two looks at a watched
    folder."""
