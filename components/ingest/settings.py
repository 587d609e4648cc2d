"""Settings of the ingest step, of its expectations and of its streams."""

import re
from typing import Annotated, Any, Literal, Self

import pydantic

from darkroom.artifacts.examples import FEATURE_TYPES, label_text, normalized
from darkroom.settings import Settings

Column = Annotated[str, pydantic.AfterValidator(normalized)]
Label = Annotated[str, pydantic.BeforeValidator(label_text)]


class SplitRatios(Settings):
    """Shares of the photographs by split; they need not sum to 1.

    For photographs that models are only evaluated on, those of train and valid are both 0.
    """

    train: float = pydantic.Field(default=0.8, ge=0)
    """Share to fit on."""
    valid: float = pydantic.Field(default=0.1, ge=0)
    """Share to choose the best epoch on."""
    test: float = pydantic.Field(default=0.1, gt=0)
    """Share to evaluate on."""

    @pydantic.model_validator(mode="after")
    def _train_with_valid(self) -> Self:
        if bool(self.train) != bool(self.valid):
            raise ValueError("'train' and 'valid' are both above 0, or both 0 to evaluate only")
        return self


class TileSettings(Settings):
    """How large images are cut into tiles, each an example of its own."""

    size: int = pydantic.Field(ge=8)
    """Side of a tile in pixels. The last tiles of a row or a column are shifted inwards, so that
    all have this size; an image that is smaller makes one tile of what there is."""
    stride: int | None = pydantic.Field(default=None, ge=1)
    """Pixels from one tile to the next, at most `size`. Unset: `size`, so that none overlap."""
    mask_column: Column | None = pydantic.Field(default=None, min_length=1)
    """The column of a table that holds the path or URI of an image's label mask: a PNG, TIFF or
    BMP image of the same size, whose every pixel is the place, from 0, of a label in
    `ingest.labels` as listed there. A tile has the label of the largest value in it. A row without
    a mask has one label for all its tiles; a row with a mask needs no label, and loses it."""

    @property
    def step(self) -> int:
        """Pixels from one tile to the next."""
        return self.stride or self.size

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.step > self.size:
            raise ValueError(f"stride {self.stride} leaves pixels out between tiles of {self.size}")
        return self


def _spelled_out(value: Any) -> Any:
    # YAML 1.1 reads a bare `off` as false.
    return "off" if value is False else value


Severity = Annotated[Literal["off", "warning", "error"], pydantic.BeforeValidator(_spelled_out)]


class Severities(Settings):
    """What follows a finding: `off` nothing, `warning` a log line, `error` the step fails."""

    new_label: Severity = "warning"
    """A label that is not among the expected ones."""
    vanished_label: Severity = "error"
    """An expected label that no photograph has: the next model could not give it any more."""
    label_share_moved: Severity = "warning"
    """A label's share of the photographs moved more than `maximum_share_change`."""
    brightness_moved: Severity = "warning"
    """The distribution of brightness moved more than `maximum_divergence.brightness`."""
    contrast_moved: Severity = "warning"
    """The distribution of contrast moved more than `maximum_divergence.contrast`."""
    sharpness_moved: Severity = "warning"
    """The distribution of sharpness moved more than `maximum_divergence.sharpness`."""
    aspect_moved: Severity = "warning"
    """The distribution of width over height moved more than `maximum_divergence.aspect`."""
    too_few_photographs: Severity = "warning"
    """A label has fewer photographs than `minimum_per_label`."""
    missing_from_split: Severity = "warning"
    """A label has photographs, but none in train, valid or test."""
    too_few_in_test: Severity = "warning"
    """A label has fewer photographs in test than `minimum_per_label_in_test`."""
    imbalance: Severity = "warning"
    """The largest label has more than `maximum_imbalance` times the photographs of the smallest."""


class Divergences(Settings):
    """Largest Jensen-Shannon divergence (base 2, 0 equal to 1 disjoint) from the previous run.

    By chance alone, two samples of n photographs from one source differ by about 5 / n.
    """

    brightness: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Of the distributions of mean grey values."""
    contrast: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Of the distributions of the standard deviation of grey values."""
    sharpness: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Of the distributions of the Laplacian's variance."""
    aspect: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Of the distributions of width over height."""


class ExpectationSettings(Settings):
    """What the photographs are compared with: a previous run, or a stated schema."""

    previous: str | None = None
    """The statistics artifact of an earlier run; labels and distributions are compared with it."""
    labels: tuple[Label, ...] | None = None
    """The labels that are expected. Unset: those of `previous`. No row is rejected by this list;
    for that there is `ingest.labels`."""
    minimum_per_label: int = pydantic.Field(default=20, ge=0)
    """Fewest photographs a label, over all splits."""
    minimum_per_label_in_test: int = pydantic.Field(default=5, ge=0)
    """Fewest photographs a label in the test split, which judges the model."""
    maximum_imbalance: float = pydantic.Field(default=10, ge=1)
    """Most photographs of the largest label for each one of the smallest."""
    maximum_share_change: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Most that any label's share may move from the previous run's (L-infinity)."""
    maximum_divergence: Divergences = Divergences()
    """How far each distribution may move from the previous run's."""
    severity: Severities = Severities()
    """What follows each finding."""


class IngestSettings(Settings):
    """How photographs become split examples."""

    split: SplitRatios = SplitRatios()
    """Shares of train, valid and test."""
    salt: str = "darkroom"
    """Mixed into the hash that decides a photograph's split: another salt, another split."""
    group_by: Column | None = None
    """Column whose equal values stay in one split, such as `patient`."""
    labels: tuple[Label, ...] | None = None
    """The labels there may be; rows with another label are rejected. Unset: all that occur."""
    max_rejected: float = pydantic.Field(default=0.05, ge=0, le=1)
    """Fraction of rows that may be rejected before the step fails."""
    duplicates: Literal["reject", "keep"] = "reject"
    """What becomes of further copies, byte for byte, of a photograph with the same label."""
    conflicting_labels: Literal["reject", "keep"] = "reject"
    """What becomes of a photograph whose copies, byte for byte, have other labels: all are
    rejected, or one is kept with the labels of all. To keep makes the data multi-label: every
    example has a list of labels, though it be a list of one."""
    near_duplicate_distance: int = pydantic.Field(default=6, ge=-1, le=16)
    """Bits of 64 in which the perceptual hashes of photographs in two splits may differ for them to
    be copies (mirrored, cropped, bordered or marked ones too), of which one is left out: the one in
    train, or that in valid beside one in test. Cropped and bordered ones may differ in 2 bits
    less; -1 compares none. Photographs of equal hashes and other labels are `conflicting_labels`.
    """
    max_pixels: int = pydantic.Field(default=100_000_000, ge=1)
    """Photographs of more pixels are rejected by their header, before memory is taken for them."""
    max_aspect: float = pydantic.Field(default=50.0, ge=1)
    """Photographs whose longer side is more than so many times the shorter are rejected."""
    tiles: TileSettings | None = None
    """How to cut large images into tiles. Unset: an image is one example, whatever its size."""
    further_data: tuple[Annotated[str, pydantic.Field(min_length=1)], ...] = ()
    """Further tables, or whatever else `data` may be, whose photographs are added by the same
    rules. Their columns are called `image` and `label`. A glob that matches nothing adds nothing:
    photographs of production may not have come yet (`monitor.retrain`)."""
    previous: str | None = None
    """Examples of an earlier run: only photographs that are new since are read and decoded. The
    examples are those of a full run."""
    image_column: Column = pydantic.Field(default="image", min_length=1)
    """The column of a table, or the name in JSON Lines, that holds the image path or URI."""
    label_column: Column = pydantic.Field(default="label", min_length=1)
    """The column, or the name, that holds the label; in JSON Lines it may be a list of labels."""
    label_separator: str | None = pydantic.Field(default=None, min_length=1)
    """Splits the label column into several labels, such as `"|"` or `" "`. Unset: one label."""
    columns: tuple[Column, ...] | None = None
    """Names of the columns of a CSV without a header line, in order: a list."""
    expectations: ExpectationSettings = ExpectationSettings()
    """What the photographs are compared with, and what follows if they are not as expected."""
    shard_bytes: int = pydantic.Field(default=100_000_000, ge=1_000_000)
    """About the most bytes of photographs in one group of shards, one shard a split. Smaller
    data are spread over up to 64 groups, so that as many workers can read them."""
    beam_options: tuple[str, ...] = ()
    """Options for Beam in its own spelling, such as `--runner=DataflowRunner`."""
    data_root: str | None = pydantic.Field(default=None, min_length=1)
    """URI of a folder, such as `gs://my-bucket/darkroom`, in which the shards and their index
    get a folder of their own; the artifact is then the manifest that names it. On a cluster:
    `cluster.data_root`. Unset: they are in the artifact."""

    @pydantic.field_validator("columns", mode="before")
    @classmethod
    def _columns_are_a_list(cls, columns: object) -> object:
        names = [columns] if isinstance(columns, str) else columns
        if isinstance(names, list | tuple) and len(names) == 1 and isinstance(names[0], str):
            parts = [part.strip() for part in re.split(r"[;,|\t]", names[0])]
            if len(parts) > 1:
                raise ValueError(f"a list of names is expected: [{', '.join(parts)}]")
        return columns

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.labels is not None and len(set(self.labels)) < 2:
            raise ValueError("labels names fewer than two labels")
        if self.group_by in FEATURE_TYPES:
            raise ValueError(f"group_by must name an extra column, not '{self.group_by}'")
        self._check_columns()
        self._check_masks()
        return self

    def _check_columns(self) -> None:
        if self.image_column == self.label_column:
            raise ValueError(f"image_column and label_column are both '{self.image_column}'")
        names = self.columns
        if names is None:
            return
        has_masks = self.mask_column is not None and self.mask_column in names
        for required in (self.image_column, *(() if has_masks else (self.label_column,))):
            if required not in names:
                raise ValueError(f"columns does not name '{required}'")
        if len(set(names)) < len(names) or "" in names:
            raise ValueError("columns names a column twice, or leaves a name empty")

    def of_data(self) -> Self:
        """The settings of `data` alone."""
        return self.model_copy(update={"further_data": ()})

    def of_further_data(self) -> Self:
        """The settings of a place of `further_data`, whose columns have their usual names."""
        usual = {"image_column": "image", "label_column": "label", "columns": None}
        return self.of_data().model_copy(update=usual)

    @property
    def mask_column(self) -> str | None:
        """The column that holds the label masks, if there is one."""
        return self.tiles.mask_column if self.tiles else None

    def _check_masks(self) -> None:
        column = self.mask_column
        if column is None:
            return
        if column in (self.image_column, self.label_column, self.group_by, "split"):
            raise ValueError(f"tiles.mask_column '{column}' is the name of another column")
        if self.labels is None:
            raise ValueError("tiles.mask_column needs labels: what the values of a mask stand for")
        if self.conflicting_labels == "keep":
            raise ValueError("conflicting_labels: keep cannot unite the labels of two masks")


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
