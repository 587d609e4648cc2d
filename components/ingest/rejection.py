"""Why a row did not become an example."""

import dataclasses
import enum
from collections.abc import Mapping


class Reason(enum.StrEnum):
    """The reason codes of rejected rows; public API, since people filter by them."""

    MISSING_FILE = "missing_file"
    UNREADABLE_FILE = "unreadable_file"
    EMPTY_FILE = "empty_file"
    NOT_AN_IMAGE = "not_an_image"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    ZERO_SIZE = "zero_size"
    TOO_MANY_PIXELS = "too_many_pixels"
    ABSURD_ASPECT = "absurd_aspect"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    CONFLICTING_LABELS = "conflicting_labels"
    NO_LABEL = "no_label"
    UNKNOWN_LABEL = "unknown_label"
    UNKNOWN_SPLIT = "unknown_split"
    NO_GROUP = "no_group"
    TOO_FEW_COLUMNS = "too_few_columns"
    TOO_MANY_COLUMNS = "too_many_columns"
    MALFORMED_ROW = "malformed_row"
    DUPLICATE_ROW = "duplicate_row"


COPY_REASONS = frozenset({Reason.DUPLICATE, Reason.NEAR_DUPLICATE})
"""Reasons of photographs that are good, and in the examples already."""


class RejectedError(Exception):
    """Raised where a row turns out not to make an example.

    Attributes:
        reason: The reason code.
        detail: One line for people.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclasses.dataclass(frozen=True)
class Rejection:
    """A rejected row, as the `rejected` artifact lists it.

    Attributes:
        row: The row as it came in: where it stood, and its fields.
        reason: The reason code.
        detail: One line for people.
        twin: `image_id` of the photograph that was kept in its place, if it is a copy.
    """

    row: Mapping[str, object]
    reason: str
    detail: str
    twin: str | None = None
