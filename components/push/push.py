"""The push step: publishes a blessed model at a push target."""

import logging
from pathlib import Path
from typing import Any

from components.push.settings import PushSettings
from darkroom.artifacts.evaluation import Evaluation, read_evaluation
from darkroom.artifacts.examples import read_examples
from darkroom.artifacts.manifest import (
    CURRENT_PROVENANCE,
    PROVENANCE,
    atomic_artifact,
    write_manifest,
)
from darkroom.artifacts.model import read_model

_log = logging.getLogger("darkroom.push")


def push(
    examples: Path, model: Path, evaluation: Path, settings: PushSettings, *, pushed: Path
) -> str:
    """Checks a blessed model once more and publishes it as the newest version.

    Args:
        examples: The examples it was evaluated on.
        model: The model that train exported.
        evaluation: The evaluation artifact of that model.
        settings: The push step's settings.
        pushed: Output: where the model was pushed and as which version; without a destination,
            the version itself too.

    Returns:
        Where the version is: its folder, or what the target calls it.

    Raises:
        StepError: The model is refused, or cannot be written.
    """
    from components.push.checks import check_model
    from components.push.targets import target_for

    checked = read_model(model)
    evaluated = read_evaluation(evaluation)
    check_model(checked, evaluated, read_examples(examples))
    with atomic_artifact(pushed) as temporary:
        target = target_for(settings.destination or str(temporary))
        version = target.publish(checked, _record(evaluated))
        # Without a destination the version is part of the artifact, which gets its own name last.
        destination = settings.destination or str(pushed)
        location = version.location if settings.destination else str(pushed / str(version.number))
        content = {
            "destination": destination,
            "version": version.number,
            "path": location,
            "digest": checked.manifest["digest"],
        }
        write_manifest(temporary, "pushed", content)
    _log.info("version %d at %s", version.number, location)
    return location


def _record(evaluated: Evaluation) -> dict[str, Any]:
    """The manifest's entry of a pushed model, which stays with it wherever it is copied."""
    provenance = {
        name: value for name, value in (CURRENT_PROVENANCE.get() or {}).items() if name != "inputs"
    }
    evaluation = {
        "digest": evaluated.manifest.get("digest"),
        "count": evaluated.count,
        "metrics": evaluated.metrics,
        "settings": evaluated.manifest["settings"],
    }
    return {"evaluation": evaluation, PROVENANCE: provenance}
