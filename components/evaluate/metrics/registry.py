"""All metrics by name: those of the modules beside this one, found by themselves."""

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

from components.evaluate.metrics.metric import Metric
from darkroom.errors import SettingsError


@functools.cache
def metrics() -> Mapping[str, Metric]:
    """The metrics in the order of the report: what a module of this package has in `METRICS`.

    Raises:
        SettingsError: A metric is not complete, or two have one name.
    """
    found: dict[str, Metric] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        name = f"{__package__}.{module.name}"
        try:
            for metric in getattr(importlib.import_module(name), "METRICS", ()):
                if metric.name in found:
                    raise ValueError(f"two metrics are called '{metric.name}'")
                found[metric.name] = metric
        except ValueError as error:
            raise SettingsError(f"{name}: {error}") from None
    return found


def metrics_of(multi_label: bool, labels: int) -> list[Metric]:
    """The metrics of a kind of model.

    Args:
        multi_label: Whether images have several labels.
        labels: Number of labels.
    """
    return [
        metric
        for metric in metrics().values()
        if labels > metric.more_labels_than
        and (metric.multi_label if multi_label else metric.single_label) is not None
    ]
