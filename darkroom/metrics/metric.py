"""What a metric is."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from darkroom.errors import SettingsError

if TYPE_CHECKING:
    from darkroom.answers.answers import MultiLabelAnswers, SingleLabelAnswers

SHARE = (0.0, 1.0)
"""The range of a share."""


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
        most_labels: The largest number.
        needs: The setting of evaluate without which there is no such metric.
        needs_positive: Whether it is of models with a positive label only
            (`train.decision.positive_label`).
        is_share: Whether it is a share of the images, whose interval is known in closed form.

    Raises:
        SettingsError: A part is missing or wrong.
    """

    name: str
    title: str = ""
    meaning: str = ""
    direction: Literal["higher", "lower"] = "higher"
    range: tuple[float, float] | None = None
    single_label: "Callable[[SingleLabelAnswers], float | None] | TfmaMetric | None" = None
    multi_label: "Callable[[MultiLabelAnswers], float | None] | TfmaMetric | None" = None
    fewest_labels: int = 1
    most_labels: int | None = None
    needs: str = ""
    needs_positive: bool = False
    is_share: bool = False

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
        most = labels if self.most_labels is None else self.most_labels
        return self.computation(multi_label) is not None and self.fewest_labels <= labels <= most
