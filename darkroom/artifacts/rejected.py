"""Why a row did not become an example."""

import dataclasses
import enum
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


class Reason(enum.StrEnum):
    """The reason codes of rejected rows; public API, since people filter by them."""

    MISSING_FILE = "missing_file"
    UNREADABLE_FILE = "unreadable_file"
    EMPTY_FILE = "empty_file"
    NOT_AN_IMAGE = "not_an_image"
    UNSUPPORTED = "unsupported"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    ZERO_SIZE = "zero_size"
    TOO_MANY_PIXELS = "too_many_pixels"
    ABSURD_ASPECT = "absurd_aspect"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near_duplicate"
    CONFLICTING_LABELS = "conflicting_labels"
    UNREADABLE_MASK = "unreadable_mask"
    MASK_OF_ANOTHER_SIZE = "mask_of_another_size"
    UNKNOWN_MASK_VALUE = "unknown_mask_value"
    NO_LABEL = "no_label"
    UNKNOWN_LABEL = "unknown_label"
    UNKNOWN_SPLIT = "unknown_split"
    NO_GROUP = "no_group"
    PSEUDO_LABEL_NOT_TRAIN = "pseudo_label_not_train"
    PSEUDO_LABEL_HELD_OUT = "pseudo_label_held_out"
    TOO_FEW_COLUMNS = "too_few_columns"
    TOO_MANY_COLUMNS = "too_many_columns"
    MALFORMED_ROW = "malformed_row"
    DUPLICATE_ROW = "duplicate_row"


COPY_REASONS = frozenset({Reason.DUPLICATE, Reason.NEAR_DUPLICATE})
"""Reasons of photographs that are good, and in the examples already."""
NO_FAULT = COPY_REASONS | {Reason.PSEUDO_LABEL_HELD_OUT}
"""Reasons that are no fault of the data's: however many rows have them, ingest continues."""


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


REJECTED_FILE = "rejected.jsonl"


def read_rejections(path: Path) -> Iterator[Rejection]:
    """The refused rows of a file, one at a time."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield Rejection(**json.loads(line))


def write_rejections(path: Path, rejections: Iterable[Rejection]) -> None:
    """Writes one JSON line a refused row."""
    with path.open("w", encoding="utf-8") as file:
        for rejection in rejections:
            line = json.dumps(dataclasses.asdict(rejection), ensure_ascii=False)
            file.write(line + "\n")
