"""The champion step: takes the model that serves, for evaluate to compare a new one with."""

import logging
import shutil
from pathlib import Path

from components.push.settings import PushSettings
from components.push.targets import target_for
from components.push.targets.target import PushedVersion, PushTarget
from darkroom.artifacts.champion import model_folder, write_champion
from darkroom.artifacts.manifest import atomic_artifact
from darkroom.artifacts.model import read_model
from darkroom.errors import StepError

_log = logging.getLogger("darkroom.champion")


def champion(model: Path, settings: PushSettings, *, champion: Path) -> None:
    """Takes a copy of the model that serves at the push step's destination.

    Where the new model serves already, it is the one that served before it: what the new one was
    compared with.

    Args:
        model: The new model.
        settings: The push step's settings.
        champion: Output: the model that serves, if any does.

    Raises:
        StepError: The new model is missing, or the artifact cannot be written.
    """
    candidate = read_model(model)
    with atomic_artifact(champion) as temporary:
        if settings.destination is None:
            _log.info("none: push.destination is not set")
            write_champion(temporary, None)
            return
        target = target_for(settings.destination)
        serves = _version_to_beat(target, str(candidate.manifest["digest"]))
        if serves is None:
            _log.info("none: nothing else has served at %s", settings.destination)
            write_champion(temporary, None)
            return
        name = f"version {serves.number} of {settings.destination}"
        problem = None
        try:
            target.fetch(serves, model_folder(temporary))
        except StepError as error:
            problem = str(error)
            shutil.rmtree(model_folder(temporary), ignore_errors=True)
            _log.warning("%s", error)
        write_champion(temporary, name, serves.digest, problem)
    _log.info("%s", name)


def _version_to_beat(target: PushTarget, digest: str) -> PushedVersion | None:
    """The version that serves; where that is the new model, the newest other one below it."""
    current = target.current()
    if current is None or current.digest != digest:
        return current
    others = (
        version
        for version in target.versions()
        if version.number < current.number and version.digest != digest
    )
    return next(others, None)
