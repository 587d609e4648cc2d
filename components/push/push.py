"""The push step: a blessed model to where it serves."""

import logging
from pathlib import Path
from typing import Any

from components.push.settings import PushSettings
from components.push.targets import target_for
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
        evaluation: What evaluate wrote about it.
        settings: Where the model goes.
        pushed: Output: where it went and as which version, or the version itself.

    Returns:
        The version's folder.

    Raises:
        StepError: The model is refused, or cannot be written.
    """
    from components.push.checks import check_model

    checked = read_model(model)
    measured = read_evaluation(evaluation)
    check_model(checked, measured, read_examples(examples))
    with atomic_artifact(pushed) as temporary:
        target = target_for(settings.destination or str(temporary))
        published = target.publish(checked, _record(measured))
        location = published.location
        if settings.destination is None:  # the artifact itself takes its name only now
            location = str(pushed / Path(location).relative_to(temporary))
        content = {
            "destination": settings.destination or str(pushed),
            "version": published.number,
            "path": location,
            "digest": published.digest,
        }
        write_manifest(temporary, "pushed", content)
    _log.info("version %d at %s", published.number, location)
    return location


def _record(measured: Evaluation) -> dict[str, Any]:
    """What a served model says of itself, wherever it is copied to."""
    made = {
        name: value for name, value in (CURRENT_PROVENANCE.get() or {}).items() if name != "inputs"
    }
    evaluation = {
        "digest": measured.manifest.get("digest"),
        "count": measured.count,
        "metrics": measured.metrics,
        "settings": measured.manifest["settings"],
    }
    return {"evaluation": evaluation, PROVENANCE: made}
