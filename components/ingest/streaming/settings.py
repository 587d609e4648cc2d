"""Settings of the streaming mode of ingest."""

import pydantic

from components.ingest.settings import IngestSettings
from darkroom.settings import Settings


class StreamSettings(Settings):
    """How arriving photographs become windows of examples."""

    ingest: IngestSettings = IngestSettings()
    """The ingest step's own settings, so that a photograph gets the split that it gets there.
    `previous`, `max_rejected` and `expectations` are for complete data sets and are ignored."""
    window: int = pydantic.Field(default=600, ge=1)
    """Seconds of arrivals that make one folder of examples."""
    poll: float = pydantic.Field(default=10, gt=0)
    """Seconds between two checks of a watched folder."""
    folder: str | None = None
    """The label folders' folder in the bucket that sends notifications, such as
    `gs://bucket/incoming`. Unset: the bucket itself."""
    beam_options: tuple[str, ...] = ()
    """Options for Beam in its own spelling, such as `--runner=DataflowRunner`."""
