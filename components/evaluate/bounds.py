"""What metrics must reach: bounds of their values, and of their distance from the champion's."""

import re
from typing import Annotated, NamedTuple, Self

import pydantic

from darkroom.settings import Settings

Bound = Annotated[float, pydantic.Field(allow_inf_nan=False)]


class Threshold(Settings):
    """What one metric must reach; a bound includes its own value, and not-a-number never passes."""

    at_least: Bound | None = None
    """Over all images, the metric must not be below."""

    at_most: Bound | None = None
    """Over all images, the metric must not be above."""

    every_slice_at_least: Bound | None = None
    """In every slice of `minimum_slice_size` images or more, the metric must not be below."""

    every_slice_at_most: Bound | None = None
    """In every slice of `minimum_slice_size` images or more, the metric must not be above."""

    @property
    def checks_slices(self) -> bool:
        """Whether slices decide too."""
        return self.every_slice_at_least is not None or self.every_slice_at_most is not None

    @pydantic.model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError(f"a threshold needs one of {', '.join(Threshold.model_fields)}")
        for low, high in (
            ("at_least", "at_most"),
            ("every_slice_at_least", "every_slice_at_most"),
        ):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                raise ValueError(f"{low} {least:g} and {high} {most:g} rule each other out")
        return self


_COMPARED = re.compile(r"(?P<metric>\w+)( of (?P<column>[^=!]+?)(?P<sign>!?=)(?P<value>.+))?")


class Compared(NamedTuple):
    """What a key of `against_baseline` compares.

    Attributes:
        metric: The metric's name.
        column: The feature that says which photographs are compared; empty: all are.
        value: Its value.
        others: Whether it is all photographs that do not have that value.
    """

    metric: str
    column: str = ""
    value: str = ""
    others: bool = False


def compared(key: str) -> Compared:
    """Reads a key of `against_baseline`.

    Raises:
        ValueError: It is none.

    >>> compared("accuracy"), compared("accuracy of source!=monitored").others
    (Compared(metric='accuracy', column='', value='', others=False), True)
    """
    found = _COMPARED.fullmatch(key)
    if found is None:
        raise ValueError(f"'{key}': expected a metric, or one such as 'accuracy of camera=left'")
    column, value = found["column"] or "", found["value"] or ""
    return Compared(found["metric"], column, value, found["sign"] == "!=")


Margin = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class Margins(Settings):
    """How far one metric may fall behind the champion's, or must be ahead of it.

    Differences are those of the two models on the same test photographs, with an interval: what
    may be noise decides nothing, but for `surely_not_worse_by`.
    """

    not_worse_by: Margin | None = None
    """Fails a model that is worse by more than this and by more than noise: the whole interval is
    below. 0: worse at all."""

    surely_not_worse_by: Margin | None = None
    """Fails a model that may be worse by more than this: its interval reaches below. It takes
    many test photographs."""

    better_by: Margin | None = None
    """Fails a model that is not surely better by this: its interval reaches below. 0: an equal
    model is not blessed."""

    @pydantic.model_validator(mode="after")
    def _has_a_margin(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError(f"a comparison needs one of {', '.join(Margins.model_fields)}")
        return self
