"""What a metric is, and what it is computed from."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from darkroom.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


TOP_K = 3
"""The top-k accuracy is computed where there are more labels than this."""


@dataclasses.dataclass(frozen=True)
class _Slice:
    """What there is of a slice for a model of either kind.

    Attributes:
        per_label: By label `label`, `count` (its images), `precision`, `recall`, `f1` and `auc`,
            which is None where a label has none.
        reliability: By bin of probability the number of answers, the sum of their probabilities
            and how many are right.
        finite: Whether all probabilities are numbers.
    """

    per_label: Sequence[Mapping[str, Any]]
    reliability: Sequence[Sequence[float]]
    finite: bool

    @property
    def present(self) -> list[Mapping[str, Any]]:
        """The rows of `per_label` of the labels with images."""
        return [row for row in self.per_label if row["count"]]


@dataclasses.dataclass(frozen=True)
class SingleLabelSlice(_Slice):
    """A slice for a single-label model with K labels.

    Attributes:
        confusion: Number of images by label and predicted label, int64 [K, K].
        log_loss: The mean cross entropy, in nats.
        top_k_accuracy: The share of images whose label is among the `TOP_K` most probable.
    """

    confusion: "npt.NDArray[np.int64]"
    log_loss: float
    top_k_accuracy: float


@dataclasses.dataclass(frozen=True)
class MultiLabelSlice(_Slice):
    """A slice of N images for a multi-label model with K labels.

    `per_label` also has `threshold` and `average_precision`.

    Attributes:
        actual: Which labels the images have, bool [N, K].
        predicted: Which labels the model gives them, bool [N, K].
        probabilities: float32 [N, K].
    """

    actual: "npt.NDArray[np.bool_]"
    predicted: "npt.NDArray[np.bool_]"
    probabilities: "npt.NDArray[np.float32]"


@dataclasses.dataclass(frozen=True)
class TfmaMetric:
    """A metric that TFMA computes.

    Attributes:
        class_name: The class of TFMA's, of Keras' or of `module`.
        options: Arguments of the class.
        module: The module of a class of our own.
    """

    class_name: str
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    module: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: how people see it, and how it is computed.

    A function that computes it may return None where a slice cannot have it, such as the AUC of
    one single label; it is then left out of the slice's metrics.

    Attributes:
        name: Its name in thresholds and in `metrics.json`.
        title: Its name in the report.
        meaning: What it says, in one line.
        direction: Which values are better.
        range: The lowest and the highest value that it can have.
        single_label: How it is computed for a model that gives an image one label; None if it is
            for images of several labels only.
        multi_label: The same for a model that gives an image several labels.
        fewest_labels: The smallest number of labels with which it makes sense.

    Raises:
        SettingsError: A part is missing or wrong.
    """

    name: str
    title: str = ""
    meaning: str = ""
    direction: Literal["higher", "lower"] = "higher"
    range: tuple[float, float] | None = None
    single_label: Callable[[SingleLabelSlice], float | None] | TfmaMetric | None = None
    multi_label: Callable[[MultiLabelSlice], float | None] | TfmaMetric | None = None
    fewest_labels: int = 1

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise SettingsError(f"metric '{self.name}': a name is lower-case letters, digits and _")
        for part in ("title", "meaning", "range"):
            value = getattr(self, part)
            if not (value.strip() if isinstance(value, str) else value):
                raise SettingsError(f"metric '{self.name}' has no {part}")
        if self.direction not in ("higher", "lower"):
            raise SettingsError(f"metric '{self.name}': direction is 'higher' or 'lower'")
        if self.single_label is None and self.multi_label is None:
            raise SettingsError(f"metric '{self.name}' has neither single_label nor multi_label")

    def computation(self, multi_label: bool) -> Callable[[Any], float | None] | TfmaMetric | None:
        """How it is computed for a kind of model; None if it is not."""
        return self.multi_label if multi_label else self.single_label

    def applies(self, multi_label: bool, labels: int) -> bool:
        """Whether a model of a kind with that many labels has it."""
        return self.computation(multi_label) is not None and labels >= self.fewest_labels


def ratio(part: Any, whole: Any) -> float:
    """A share; 0 of nothing."""
    return float(part / whole) if whole else 0.0


def mean(values: Sequence[float]) -> float:
    """The mean of one value or more."""
    return sum(values) / len(values)
