"""The push target of a destination: found among the modules beside this one by its form."""

import functools
import importlib
import pkgutil
from collections.abc import Sequence
from pathlib import Path

from components.push.targets.target import PushTarget
from darkroom.errors import SettingsError


@functools.cache
def push_targets() -> Sequence[type[PushTarget]]:
    """The targets: what each module of this package offers as its `TARGET`."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    loaded = (importlib.import_module(f"{__package__}.{module.name}") for module in modules)
    return tuple(module.TARGET for module in loaded if hasattr(module, "TARGET"))


def target_for(destination: str) -> PushTarget:
    """The target of a destination, which is not asked yet.

    Raises:
        SettingsError: No target takes such a destination; the forms that are taken.
    """
    check_destination(destination)
    return next(target for target in push_targets() if target.accepts(destination))(destination)


def check_destination(destination: str) -> None:
    """Checks that there is a target for a destination.

    Raises:
        SettingsError: There is none; the forms that are taken.
    """
    if not any(target.accepts(destination) for target in push_targets()):
        forms = "; ".join(target.FORM for target in push_targets())
        raise SettingsError(f"nothing pushes to {destination}; expected {forms}")
