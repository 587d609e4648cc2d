"""The metrics of an evaluation: one object each, found in the modules of this folder.

A new metric is a `Metric` at the top of a module here. Thresholds, the verdict, `metrics.json` and
the report take it from there.
"""

import functools
import importlib
import pkgutil
from collections.abc import Mapping

from darkroom.errors import SettingsError
from darkroom.metrics.metric import Metric


@functools.cache
def known_metrics() -> Mapping[str, Metric]:
    """All metrics by name, in the order that they are shown in.

    Raises:
        SettingsError: Two metrics have the same name, or one lacks a part.
    """
    found: dict[str, Metric] = {}
    for module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
        for value in vars(importlib.import_module(f"{__name__}.{module}")).values():
            if isinstance(value, Metric) and found.setdefault(value.name, value) is not value:
                raise SettingsError(f"two metrics are called '{value.name}'")
    return found
