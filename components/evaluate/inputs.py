"""Whether slices and thresholds can hold for the data: asked before a run, and by the step."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from components.evaluate.predictions.features import ORIENTATION
from darkroom.artifacts.examples import HEIGHT, LABEL, MEASURE_TYPES, WIDTH
from darkroom.artifacts.model import read_model
from darkroom.errors import SettingsError, StepError
from darkroom.metrics import known_metrics
from darkroom.settings import nearest


def check_slices(slices: Iterable[str], columns: Iterable[str], setting: str = "slices") -> None:
    """Checks that there is what images are sliced by.

    Args:
        slices: `evaluate.slices`.
        columns: The extra columns of the data.
        setting: The setting's name.

    Raises:
        SettingsError: One is neither a feature of every example nor a column.
    """
    features = [LABEL, HEIGHT, WIDTH, ORIENTATION, *MEASURE_TYPES, *columns]
    for name in slices:
        if name not in features:
            raise SettingsError(
                f"setting 'evaluate.{setting}': the examples have no feature '{name}' to slice by"
                f"{nearest(name, features)}"
            )


def check_buckets(features: Iterable[str], types: Mapping[str, str]) -> None:
    """Checks that what is put into buckets are numbers.

    Args:
        features: The features of `evaluate.buckets`.
        types: Type of every feature of the examples.

    Raises:
        SettingsError: One is text.
    """
    for name in features:
        if types.get(name) == "bytes":
            raise SettingsError(
                f"setting 'evaluate.buckets.{name}': {name} is text, and only numbers have buckets"
            )


def check_label(label: str | None, labels: Collection[str]) -> None:
    """Checks that the label of `evaluate.fairness` is one.

    Raises:
        SettingsError: It is none.
    """
    if label is not None and label not in labels:
        raise SettingsError(
            f"setting 'evaluate.fairness.label': there is no label '{label}'"
            f"{nearest(label, labels)}"
        )


def check_costs(costs: Mapping[str, Mapping[str, float]], labels: Collection[str]) -> None:
    """Checks that costs are of labels that there are.

    Args:
        costs: `evaluate.costs`.
        labels: The labels.

    Raises:
        SettingsError: One is of no label.
    """
    for label in (name for row, columns in costs.items() for name in (row, *columns)):
        if label not in labels:
            raise SettingsError(
                f"setting 'evaluate.costs': there is no label '{label}'{nearest(label, labels)}"
            )


def check_baseline(folder: Path | None) -> None:
    """Checks that the champion that the settings name is a model.

    Args:
        folder: Its folder; None where the settings name none.

    Raises:
        SettingsError: It is not.
    """
    if folder is None:
        return
    try:
        read_model(folder)
    except StepError as error:
        raise SettingsError(
            f"setting 'evaluate.baseline': {error}; expected serving, none or a model's folder"
        ) from error


def check_thresholds(
    thresholds: Mapping[str, Any],
    labels: int | None,
    multi_label: bool | None = None,
    has_positive: bool | None = None,
    setting: str = "thresholds",
) -> None:
    """Checks that a model can have the metrics that thresholds bound.

    Args:
        thresholds: `evaluate.thresholds`, or the setting of another name.
        labels: The number of labels; None where it is not known yet.
        multi_label: Whether images have several labels; None where it is not known yet.
        has_positive: Whether the model has a positive label; None where it is not known yet.
        setting: Its name.

    Raises:
        SettingsError: It cannot.
    """
    for name in thresholds:
        metric = known_metrics()[name]
        if multi_label is not None and metric.computation(multi_label) is None:
            kind = "one label" if multi_label else "several labels"
            raise SettingsError(f"setting 'evaluate.{setting}.{name}' is for images of {kind} each")
        if metric.needs_positive and has_positive is False:
            raise SettingsError(
                f"setting 'evaluate.{setting}.{name}' needs 'train.decision.positive_label'"
            )
        if labels is not None and labels < metric.fewest_labels:
            raise SettingsError(
                f"setting 'evaluate.{setting}.{name}' needs more than "
                f"{metric.fewest_labels - 1} labels; there are {labels}"
            )
