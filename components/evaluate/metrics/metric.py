"""A metric: one object that says all there is to know of it."""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

Direction = Literal["higher", "lower"]
"""Which values are better."""

PerLabel = Sequence[Mapping[str, Any]]
"""`label`, `count`, `precision`, `recall`, `f1` and `auc` of each label; where images have several
also `threshold` and `average_precision`. None where a slice cannot have the value."""


@dataclasses.dataclass(frozen=True)
class SingleLabelResults:
    """What metrics of single-label models are made of, over the images of one slice.

    Attributes:
        confusion: int64 [K, K]: rows are labels, columns what was predicted.
        per_label: Results of each label.
        reliability: By bin of the top probability: images, sum of probabilities, right ones.
        values: What TFMA measured for the metrics that have a `tfma`, by the metric's name.
        finite: Whether all probabilities are numbers.
    """

    confusion: Any
    per_label: PerLabel
    reliability: Sequence[Sequence[float]]
    values: Mapping[str, float]
    finite: bool


@dataclasses.dataclass(frozen=True)
class MultiLabelResults:
    """What metrics of multi-label models are made of, over the images of one slice.

    Attributes:
        has: Which labels the images have, bool [N, K].
        says: Which labels the model gives them by its thresholds, bool [N, K].
        probabilities: float32 [N, K].
        per_label: Results of each label.
        reliability: By bin of every label's probability: how many, their sum, right ones.
        finite: Whether all probabilities are numbers.
    """

    has: Any
    says: Any
    probabilities: Any
    per_label: PerLabel
    reliability: Sequence[Sequence[float]]
    finite: bool


@dataclasses.dataclass(frozen=True)
class TfmaMetric:
    """A metric that TFMA, or Keras through it, computes.

    Attributes:
        class_name: Its class.
        module: The module of the class; "" for TFMA's and Keras's own.
        options: Its options; JSON values.
    """

    class_name: str
    module: str = ""
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Metric:
    """A metric, by which thresholds are set and which the report shows.

    It is measured of the kinds of model that it has a function for. A function gives not-a-number
    for what is none, and None for what a slice cannot have, which is then left out.

    Attributes:
        name: Its name in settings and in `metrics.json`.
        title: Its name in the report.
        meaning: What it says, in one line that ends with a full stop.
        direction: Which values are better.
        single_label: Makes it of a single-label model's results.
        multi_label: Makes it of a multi-label model's results.
        tfma: What TFMA is to measure for `single_label`, under the metric's name.
        more_labels_than: It is measured only where there are more labels than this.

    Raises:
        ValueError: A part of it is missing.
    """

    name: str
    title: str
    meaning: str
    direction: Direction = "higher"
    single_label: Callable[[SingleLabelResults], float | None] | None = None
    multi_label: Callable[[MultiLabelResults], float | None] | None = None
    tfma: TfmaMetric | None = None
    more_labels_than: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise ValueError(f"metric '{self.name}': a name is lower-case letters, digits and _")
        for part in ("title", "meaning"):
            if not getattr(self, part).strip():
                raise ValueError(f"metric '{self.name}' has no {part}")
        if self.direction not in ("higher", "lower"):
            raise ValueError(f"metric '{self.name}': direction is 'higher' or 'lower'")
        if self.single_label is None and self.multi_label is None:
            raise ValueError(
                f"metric '{self.name}' has neither single_label nor multi_label: nothing makes it"
            )

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is a better one."""
        return self.direction == "lower"
