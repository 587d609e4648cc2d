"""Settings of the evaluate step."""

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic

from components.evaluate.bounds import Bound, Margins, Threshold, compared
from components.evaluate.sections import (
    Fairness,
    MlflowSettings,
    ModelCardSettings,
    WeakSlices,
)
from darkroom.metrics import known_metrics
from darkroom.metrics.metric import TfmaMetric
from darkroom.settings import nearest
from darkroom.slices import SlicedSettings, Slices
from darkroom.storage.paths import mounted_path

Cost = Annotated[float, pydantic.Field(ge=0, le=1e9)]

MOST_VALUES = 20
"""Whole numbers of more values than this are sliced by buckets."""


def _mounted(folder: str | None) -> str | None:
    return None if folder is None else mounted_path(folder)


class EvaluateSettings(SlicedSettings):
    """How a model is evaluated, and what it must reach to be blessed."""

    slices: Slices = ("label",)
    """Features to slice by: `label`, `height`, `width`, `brightness`, `contrast`, `sharpness` or
    any further column of the input. Each value of a text is a slice, so take texts of few values;
    numbers of more than 20 values are put into buckets. A list of features is their cross:
    `[label, [camera, label]]`."""

    weak_slices: WeakSlices = WeakSlices()
    """The search for slices with a lower accuracy than the rest."""

    buckets: dict[str, Annotated[int, pydantic.Field(ge=2)] | tuple[Bound, ...]] = pydantic.Field(
        default_factory=dict
    )
    """How a number is put into buckets, by feature: how many of equally many photographs, or the
    bounds between them: `{brightness: 4, width: [640, 1280]}`. Without, there are 4."""

    strangers: Annotated[str | None, pydantic.AfterValidator(_mounted)] = None
    """Folder of photographs that show none of the labels, as production may see them: the report
    says how well two scores tell them, with thresholds at which 5 % of the valid photographs are
    taken for strangers."""

    check_train_labels: bool = False
    """Look at the training split's labels too, by cross-validation on the model's embeddings: what
    is likely mislabelled, ambiguous or outlying goes into `suspects.csv`."""

    thresholds: dict[str, Threshold] = pydantic.Field(default_factory=dict)
    """What each metric must reach, by the metric's name. A bare number is short for
    `at_least`, or for `at_most` where lower is better (`log_loss`, `calibration_error`). Without
    thresholds every model is blessed whose probabilities are numbers, and the report says so."""

    baseline: str = pydantic.Field(default="serving", min_length=1)
    """The champion, which a new model is compared with on the same test photographs: `serving`,
    the model that serves at `push.destination` (the first has none, and need not be better);
    `none`; or a model's folder."""

    against_baseline: dict[str, Margins] = pydantic.Field(
        default_factory=lambda: {"accuracy": Margins(not_worse_by=0)}
    )
    """How each metric must compare with the champion's, by the metric's name. By default a model
    whose accuracy is worse by more than noise is not blessed, and one that is better or equal
    is. `accuracy of camera=left` is that of the photographs with this value, and `accuracy of
    camera!=left` that of all others."""

    test: Literal["fixed", "anytime"] = "fixed"
    """How accuracies are compared with the champion's: `fixed` is exact for one look (McNemar);
    `anytime` holds its error rate of 5 % however often the same two models are compared as test
    photographs are added, and takes some half more of them."""

    costs: dict[str, dict[str, Cost]] = pydantic.Field(default_factory=dict)
    """What a wrong answer costs, by label and predicted label: `{melanoma: {nevus: 50}}`. What is
    not stated costs 1, and a right answer 0. The metric `mean_cost` is computed from it."""

    beta: Annotated[float, pydantic.Field(gt=0, le=100)] | None = None
    """How much more recall counts than precision in the metric `macro_f_beta`."""

    fairness: Fairness = Fairness()
    """Groups of photographs that are to be treated alike, and how much they may differ."""

    model_card: ModelCardSettings = ModelCardSettings()
    """What the model's card says beside what is measured."""

    mlflow: MlflowSettings | None = None
    """Log each evaluation to MLflow: metrics, training curves, settings, report and model card."""

    if_undecided: Literal["fail", "pass"] = "fail"
    """What becomes of a bound on slices that no slice decides, since all are too small or have no
    such metric, and of a champion that cannot be scored, since its labels are others or it does
    not load: `fail` withholds the blessing and says so."""

    minimum_slice_size: int = pydantic.Field(default=10, ge=1)
    """Slices of fewer images are shown but decide nothing: below some ten images, one image more or
    less moves an accuracy by a tenth."""

    beam_options: tuple[str, ...] = ()
    """Beam's own options, for workers on this machine such as `["--direct_num_workers=4"]`; in
    this process where empty."""

    @property
    def sliced_columns(self) -> tuple[str, ...]:
        """Every feature that is sliced by, or compared by, once."""
        compared_by = [compared(key).column for key in self.against_baseline]
        return tuple(dict.fromkeys((*super().sliced_columns, *filter(None, compared_by))))

    @property
    def overall_margins(self) -> dict[str, Margins]:
        """What is compared over all photographs, by the metric's name."""
        return {
            key: margins
            for key, margins in self.against_baseline.items()
            if not compared(key).column
        }

    @property
    def baseline_folder(self) -> Path | None:
        """The champion's folder, where the settings name it."""
        return None if self.baseline in ("serving", "none") else Path(self.baseline)

    @pydantic.field_validator("buckets")
    @classmethod
    def _check_buckets(cls, buckets: dict[str, Any]) -> dict[str, Any]:
        for name, stated in buckets.items():
            if not isinstance(stated, int) and (
                not stated or any(low >= high for low, high in itertools.pairwise(stated))
            ):
                raise ValueError(f"the bounds of {name} must rise: {list(stated)}")
        return buckets

    @pydantic.field_validator("costs")
    @classmethod
    def _right_answers_cost_nothing(
        cls, costs: dict[str, dict[str, float]]
    ) -> dict[str, dict[str, float]]:
        for label, row in costs.items():
            if row.get(label):
                raise ValueError(f"a right answer costs 0: leave out {{{label}: {{{label}: ...}}}}")
        return costs

    @pydantic.field_validator("against_baseline", mode="before")
    @classmethod
    def _margins_are_named(cls, given: Any) -> Any:
        for name, margins in given.items() if isinstance(given, Mapping) else ():
            if not isinstance(margins, Mapping | Margins):
                raise ValueError(f"{name}: expected one such as {{not_worse_by: 0.01}}")
        return given

    @pydantic.field_validator("against_baseline")
    @classmethod
    def _check_compared_metrics(cls, given: dict[str, Margins]) -> dict[str, Margins]:
        metrics = known_metrics()
        for key in given:
            name, column, *_ = compared(key)
            if name not in metrics:
                raise ValueError(f"unknown metric '{name}'{nearest(name, metrics)}")
            if column and name != "accuracy":
                raise ValueError(f"{key}: of some photographs the accuracy alone is compared")
            metric = metrics[name]
            ways = (metric.computation(multi_label) for multi_label in (False, True))
            if any(isinstance(way, TfmaMetric) for way in ways):
                raise ValueError(f"{name} is computed by TFMA, which does not compare models")
        return given

    @pydantic.field_validator("thresholds", mode="before")
    @classmethod
    def _in_full_form(cls, thresholds: Any) -> Any:
        if not isinstance(thresholds, Mapping):
            return thresholds
        return {name: _full_form(str(name), given) for name, given in thresholds.items()}

    @pydantic.model_validator(mode="after")
    def _has_slices_to_check(self) -> Self:
        for name, threshold in self.thresholds.items():
            if threshold.checks_slices and not self.slices:
                raise ValueError(f"'thresholds.{name}' checks every slice, but 'slices' is empty")
        return self

    @pydantic.model_validator(mode="after")
    def _buckets_are_sliced_by(self) -> Self:
        for name in self.buckets:
            if name not in (*self.sliced_columns, *self.fairness.columns):
                features = nearest(name, self.sliced_columns)
                raise ValueError(f"'buckets.{name}' is not sliced by in 'slices'{features}")
        return self

    @pydantic.model_validator(mode="after")
    def _has_what_metrics_need(self) -> Self:
        for setting in ("thresholds", "against_baseline"):
            for name in getattr(self, setting):
                needs = known_metrics()[compared(name).metric].needs
                if needs and not getattr(self, needs):
                    raise ValueError(f"'{setting}.{name}' needs 'evaluate.{needs}'")
        return self

    @pydantic.model_validator(mode="after")
    def _bounds_can_be_met_and_missed(self) -> Self:
        metrics = known_metrics()
        for name, threshold in self.thresholds.items():
            lowest, highest = metrics[name].range or (-math.inf, math.inf)
            for bound, limit in threshold.model_dump(exclude_none=True).items():
                if not lowest <= limit <= highest:
                    most = f"to {highest:g}" if math.isfinite(highest) else "up"
                    raise ValueError(
                        f"'thresholds.{name}': {bound} {limit:g} decides nothing, since "
                        f"{name} is from {lowest:g} {most}"
                    )
        for name, margins in self.against_baseline.items():
            lowest, highest = metrics[compared(name).metric].range or (-math.inf, math.inf)
            for margin, limit in margins.model_dump(exclude_none=True).items():
                if limit > highest - lowest:
                    raise ValueError(
                        f"'against_baseline.{name}': {margin} {limit:g} is more than {name} can "
                        f"differ, {highest - lowest:g}"
                    )
        return self


def _full_form(name: str, given: Any) -> Any:
    """A threshold as a mapping of bounds, whose names have been checked."""
    metrics = known_metrics()
    if name not in metrics:
        raise ValueError(f"unknown metric '{name}'{nearest(name, metrics)}")
    if isinstance(given, Mapping):
        for bound in given:
            if bound not in Threshold.model_fields:
                hint = nearest(str(bound), Threshold.model_fields)
                raise ValueError(f"unknown bound '{bound}' of {name}{hint}")
        return given
    if isinstance(given, int | float) and not isinstance(given, bool):
        return {"at_most" if metrics[name].direction == "lower" else "at_least": given}
    if isinstance(given, Threshold):
        return given
    raise ValueError(f"{name}: expected a number, or bounds such as {{at_least: 0.9}}")
