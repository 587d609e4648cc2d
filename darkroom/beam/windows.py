"""Windows of time of what arrives, in which nothing that comes late is lost."""

import apache_beam as beam
from apache_beam.transforms.trigger import AccumulationMode, AfterProcessingTime, AfterWatermark
from apache_beam.transforms.window import FixedWindows
from apache_beam.utils.timestamp import Duration

LATENESS = Duration(seconds=7 * 24 * 3600)
"""How long after its window a row may come: as long as Pub/Sub keeps a message by default."""


def into_windows(seconds: int) -> beam.WindowInto:
    """Windows of a length; what comes late for one is given by itself.

    Args:
        seconds: The length of a window, and how long late rows are gathered.
    """
    return beam.WindowInto(
        FixedWindows(seconds),
        trigger=AfterWatermark(late=AfterProcessingTime(seconds)),
        accumulation_mode=AccumulationMode.DISCARDING,
        allowed_lateness=LATENESS,
    )
