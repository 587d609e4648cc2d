"""The champion: found by the settings, and whether it can be scored on these photographs."""

import dataclasses
from pathlib import Path

from components.evaluate.inputs import check_baseline
from components.evaluate.settings import EvaluateSettings
from darkroom.artifacts.champion import read_champion
from darkroom.artifacts.examples import Examples
from darkroom.artifacts.model import Model, read_model
from darkroom.errors import StepError


@dataclasses.dataclass(frozen=True)
class Champion:
    """The model that a new one is compared with.

    Attributes:
        name: What people call it, such as `version 3 of served/flowers`.
        model: The model; None if it cannot be scored.
        problem: Why it cannot be scored; "" if it can.
    """

    name: str
    model: Model | None
    problem: str = ""


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
    return Champion(name, model)
