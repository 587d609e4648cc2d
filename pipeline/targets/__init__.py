"""The places to run by name: the folders in this one, found by name."""

import functools
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

from darkroom.errors import SettingsError
from darkroom.settings import nearest
from pipeline.target import Target

LOCAL = "local"
"""The target that is this machine."""


@functools.cache
def targets() -> Mapping[str, Target]:
    """All targets by name."""
    found = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.ispkg:
            target: Target = importlib.import_module(f"{__package__}.{module.name}.target").TARGET
            found[target.name] = target
    return found


def target_named(name: str) -> Target:
    """The target of that name.

    Raises:
        SettingsError: There is none; the nearest is offered.
    """
    if name not in targets():
        raise SettingsError(f"--target {name}: no such target{nearest(name, targets())}")
    return targets()[name]


def cluster_target(name: str) -> Target:
    """The cluster of that name.

    Raises:
        SettingsError: There is none; the nearest is offered.
    """
    clusters = [target.name for target in targets().values() if target.is_cluster]
    if name not in clusters:
        raise SettingsError(f"--target {name}: no such cluster{nearest(name, clusters)}")
    return targets()[name]
