"""The champion: found by the settings, and whether it can be scored on these photographs."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.evaluate.inputs import check_baseline
from components.evaluate.settings import EvaluateSettings
from darkroom.artifacts.champion import read_champion
from darkroom.artifacts.examples import KIND, Examples
from darkroom.artifacts.manifest import PROVENANCE
from darkroom.artifacts.model import Model, read_model
from darkroom.errors import StepError

SPLIT_SETTINGS = ("split", "salt", "group_by")
"""Settings of ingest that a photograph's split follows from."""


@dataclasses.dataclass(frozen=True)
class Champion:
    """The model that a new one is compared with.

    Attributes:
        name: What people call it, such as `version 3 of served/flowers`.
        model: The model; None if it cannot be scored.
        problem: Why it cannot be scored; "" if it can.
        doubt: Why its figures may be too high; "" if nothing speaks for it.
    """

    name: str
    model: Model | None
    problem: str = ""
    doubt: str = ""


def find_champion(
    artifact: Path | None, examples: Examples, challenger: Model, settings: EvaluateSettings
) -> Champion | None:
    """The champion that the settings ask for; None if there is none.

    Args:
        artifact: The champion step's artifact; None where the step did not run.
        examples: The examples that both are to be scored on.
        challenger: The new model.
        settings: The evaluate step's settings.

    Raises:
        SettingsError: `evaluate.baseline` names a folder that is no model.
        StepError: The artifact is not complete.
    """
    if settings.baseline == "none":
        return None
    if (folder := settings.baseline_folder) is not None:
        check_baseline(folder)
        return _checked(str(folder), read_model(folder), examples, challenger)
    found = None if artifact is None else read_champion(artifact)
    if found is None:
        return None
    if found.problem is not None:
        return Champion(found.name, None, found.problem)
    try:
        model = read_model(found.folder)
    except StepError:
        return Champion(found.name, None, "it was not exported by Darkroom: it has no manifest")
    return _checked(found.name, model, examples, challenger)


def _checked(name: str, model: Model, examples: Examples, challenger: Model) -> Champion:
    several = model.thresholds is not None
    if several != (challenger.thresholds is not None):
        its = "several labels" if several else "one label"
        return Champion(name, None, f"it gives {its} an image, and the new model does not")
    unknown = [label for label in examples.labels if label not in model.labels]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        return Champion(name, None, f"it does not know the label '{unknown[0]}'{more}")
    return Champion(name, model, doubt=_may_have_seen(name, model, examples))


def _may_have_seen(name: str, model: Model, examples: Examples) -> str:
    """Why today's test photographs may be among those that the champion was trained on.

    A photograph's split follows from its content and these settings, unless the input names it, so
    with the same ones none has moved by itself.
    """
    theirs, ours = _ingest_settings(model.manifest), examples.manifest.get("settings", {})
    if theirs is None:
        return ""
    # A release that did not state one had its default.
    differ = [key for key in SPLIT_SETTINGS if key in theirs and theirs[key] != ours.get(key)]
    if not differ:
        return ""
    changed = ", ".join(f"ingest.{key}" for key in differ)
    return (
        f"{name} was trained with another {changed}: photographs of today's test split may be "
        "among those it was trained on, and its figures too high"
    )


def _ingest_settings(manifest: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The settings of the ingest that a model's photographs came from; None if unknown."""
    for one in manifest.get(PROVENANCE, {}).get("inputs", {}).values():
        if not isinstance(one, Mapping):
            continue
        if one.get("kind") == KIND:
            settings: Mapping[str, Any] = one.get("settings", {})
            return settings
        if (found := _ingest_settings(one)) is not None:
            return found
    return None
