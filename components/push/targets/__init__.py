"""The push target of a destination: found among the modules of this folder by its form."""

import difflib
import importlib
import pkgutil
import re
from typing import cast

from components.push.targets.target import PredictingTarget, PushTarget
from darkroom.errors import SettingsError


def push_targets() -> list[type[PushTarget]]:
    """The targets: the `TARGET` of each module of this package that has one."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [module.TARGET for module in modules if hasattr(module, "TARGET")]


def target_for(destination: str) -> PushTarget:
    """The target of a destination; nothing is connected to yet.

    Raises:
        SettingsError: No target takes such a destination; the message lists the known forms.
    """
    targets = push_targets()
    for target in targets:
        if target.accepts(destination):
            return target(destination)
    forms = [target.FORM for target in targets]
    schemes = {scheme: form for form in forms for scheme in re.findall(r"[\w+.-]+://", form)}
    close = difflib.get_close_matches(re.sub("(?<=://).*", "", destination), schemes, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    raise SettingsError(
        f"no push target takes '{destination}', expected {' or '.join(forms)}{hint}"
    )


def predicting_target(destination: str) -> PredictingTarget | None:
    """The target of a destination, if it is one that predicts by itself; else None.

    Raises:
        SettingsError: The destination is not of its form.
    """
    for target in push_targets():
        if target.accepts(destination) and hasattr(target, "predict"):
            return cast(PredictingTarget, target(destination))
    return None
