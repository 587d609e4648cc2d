"""The push step: publishes a blessed model at a push target."""

import functools
import logging
import tempfile
from pathlib import Path
from typing import Any

from components.push.settings import PushSettings
from components.push.targets import target_for
from components.push.targets.target import PushTarget
from darkroom.artifacts.evaluation import Evaluation, read_evaluation
from darkroom.artifacts.examples import read_examples
from darkroom.artifacts.manifest import (
    CURRENT_PROVENANCE,
    PROVENANCE,
    atomic_artifact,
    write_manifest,
)
from darkroom.artifacts.model import Model, read_model
from darkroom.artifacts.push_log import rolled_back_numbers
from darkroom.artifacts.statistics import read_statistics
from darkroom.errors import StepError

_log = logging.getLogger("darkroom.push")


def push(
    examples: Path,
    model: Path,
    evaluation: Path,
    statistics: Path,
    settings: PushSettings,
    *,
    pushed: Path,
) -> str:
    """Checks a blessed model once more and publishes it as the newest version.

    Args:
        examples: The examples it was evaluated on.
        model: The model that train exported.
        evaluation: The evaluation of that model.
        statistics: The statistics of its photographs, which the version takes along.
        settings: The push step's settings.
        pushed: Output: where the model was pushed and as which version; without a destination,
            the version itself too.

    Returns:
        Where the version is: its folder, or its name at a target that is no folder.

    Raises:
        StepError: The model is refused, or cannot be written.
    """
    from components.push.candidate import build_candidate
    from components.push.checks import check_model
    from components.push.reference import write_reference
    from components.push.validation import validate

    exported = read_model(model)
    evaluated = read_evaluation(evaluation)
    evaluated_on, counted = read_examples(examples), read_statistics(statistics)
    synthetic = settings.proof == "synthetic"
    checked = check_model(exported, evaluated, evaluated_on, synthetic=synthetic)
    reference = functools.partial(
        write_reference,
        signatures=checked.signatures,
        evaluation=evaluated,
        examples=evaluated_on,
        statistics=counted,
        embedded=not synthetic,
    )
    with tempfile.TemporaryDirectory() as folder, atomic_artifact(pushed) as temporary:
        record = _record(evaluated)
        candidate = build_candidate(
            exported,
            evaluated,
            checked.proof,
            record,
            reference,
            settings.signing_key,
            Path(folder),
        )
        validate(candidate.folder, settings.limits, with_server=settings.try_server)
        target = target_for(settings.destination or str(temporary))
        if settings.rolled_back == "refuse":
            _refuse_rolled_back(target, candidate)
        published = target.publish(candidate, settings.traffic)
        if settings.keep is not None:
            _prune(target, settings.keep)
        location = published.location
        if settings.destination is None:  # the artifact gets its own name at the end
            location = str(pushed / Path(location).relative_to(temporary))
        share, canary = target.traffic().get(published.number, 0), target.canary()
        is_canary = canary is not None and canary.number == published.number
        where = settings.destination or str(pushed)
        content = {
            "destination": where,
            "version": published.number,
            "path": location,
            "digest": published.digest,
            "traffic": share,
        }
        write_manifest(temporary, "pushed", content)
    _log.info("version %d at %s", published.number, location)
    if is_canary:
        _log.info("a canary with %d %% of the requests; then: darkroom promote %s", share, where)
    return location


def _prune(target: PushTarget, keep: int) -> None:
    """Removes old versions; the model is pushed, whether that succeeds or not."""
    try:
        for number in target.prune(keep):
            _log.info("version %d removed", number)
    except StepError as error:
        _log.warning("old versions stay: %s", error)


def _refuse_rolled_back(target: PushTarget, model: Model) -> None:
    """Refuses the very model that somebody has taken out of service."""
    digest = model.manifest["digest"]
    serves = target.current()
    if serves is not None and serves.digest == digest:
        return
    there = {version.number: version.digest for version in target.rolled_back()}
    for number, other in (_rolled_back_by_log(target) | there).items():
        if other == digest:
            raise StepError(
                f"this is the model of version {number}, which was rolled back: it is not pushed "
                f"again (to serve it all the same: darkroom rollback --to {number}, or "
                "push.rolled_back: push)"
            )


def _rolled_back_by_log(target: PushTarget) -> dict[int, str | None]:
    """Digests of the versions that were rolled back, those that were removed since too."""
    log = target.log()
    pushed = {entry.version: entry for entry in log if entry.action in ("push", "canary")}
    out = sorted(rolled_back_numbers(log))
    return {number: pushed[number].digest for number in out if number in pushed}


def _record(evaluated: Evaluation) -> dict[str, Any]:
    """The manifest's entry of a pushed model, which stays with it wherever it is copied."""
    provenance = {
        name: value for name, value in (CURRENT_PROVENANCE.get() or {}).items() if name != "inputs"
    }
    evaluation = {
        "digest": evaluated.manifest.get("digest"),
        "blessed": evaluated.blessed,
        "count": evaluated.count,
        "metrics": evaluated.metrics,
        "settings": evaluated.manifest["settings"],
        "champion": evaluated.manifest.get("champion"),
    }
    return {"evaluation": evaluation, PROVENANCE: provenance}
