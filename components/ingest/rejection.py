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
    NO_LABEL = "no_label"
    UNKNOWN_LABEL = "unknown_label"
    TOO_FEW_COLUMNS = "too_few_columns"


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
    """

    row: Mapping[str, object]
    reason: str
    detail: str
