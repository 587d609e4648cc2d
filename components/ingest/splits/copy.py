"""A photograph that is not kept, beside one that is."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from components.ingest.splits.sightings import Places
from darkroom.artifacts.rejected import Reason


@dataclasses.dataclass(frozen=True)
class Copy:
    """Why a photograph is not kept.

    Attributes:
        reason: `duplicate`, `near_duplicate`, `conflicting_labels` or `pseudo_label_held_out`.
        detail: One line for people.
        twin: `image_id` of the photograph that is kept in its place, if one is.
    """

    reason: Reason
    detail: str
    twin: str | None


def rows_of(copies: Mapping[int, Copy]) -> Places:
    """The ordinals of copies, sorted, int64 [N]."""
    return np.sort(np.fromiter(copies, np.int64, len(copies)))
