"""Where models are pushed to: a module a target, each found by itself and chosen by destination."""

import difflib
import importlib
import pkgutil

from components.push.targets.target import Target
from darkroom.errors import SettingsError


def target_for(destination: str) -> Target:
    """The target that a destination belongs to.

    Args:
        destination: As `push.destination` names it, such as the path of a folder.

    Raises:
        SettingsError: No target takes such a destination.
    """
    targets = target_classes()
    for target in targets:
        if target.takes(destination):
            return target(destination)
    forms = sorted(target.form for target in targets)
    scheme = destination.split("://", maxsplit=1)[0]
    schemes = {form.split("://", maxsplit=1)[0]: form for form in forms if "://" in form}
    close = difflib.get_close_matches(scheme, schemes, n=1)
    offer = f"; did you mean '{schemes[close[0]]}'?" if close else ""
    raise SettingsError(f"no push target takes '{destination}': give {' or '.join(forms)}{offer}")


def target_classes() -> list[type[Target]]:
    """The targets, by the names of their modules; a module without `TARGET` is no target."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in sorted(names)]
    return [module.TARGET for module in modules if hasattr(module, "TARGET")]
