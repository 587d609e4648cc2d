"""Changes of a model repository: each is logged before it is made, and made once.

A change is planned upon the newest entry of the push log, written as the entry after it, and then
carried out: folders take other names. Of several commands at once, one writes the entry; the
others wait until it is carried out, and plan again upon it. A command that was killed after its
entry is completed by the next one.

Where something else serves the versions, a change is first made there (`before`), and logged only
if that succeeds: the log never says that a version serves that does not.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from components.push.completion import carry_out, take_over
from darkroom.artifacts.model_repository import (
    Role,
    Version,
    find_folders,
    find_versions,
    folder_name,
    is_version_name,
    is_whole,
    listed,
    serving_version,
)
from darkroom.artifacts.push_log import (
    Entry,
    PushLog,
)
from darkroom.artifacts.traffic import canary_traffic, find_canary
from darkroom.errors import StepError
from darkroom.storage import files, folders

_log = logging.getLogger("darkroom.push")

Before = Callable[[Entry], None]
"""Makes a planned change where the versions are served; called again where the plan changes."""


def publish(
    log: PushLog,
    staged: Version,
    traffic: int,
    facts: Mapping[str, Any],
    before: Before | None = None,
) -> Entry:
    """Makes a staged version the one that serves, or a canary beside it.

    A canary that was there is superseded. Where nothing serves yet, the first version gets all
    requests, whatever share was asked for.

    Args:
        log: The repository's log.
        staged: The version.
        traffic: The share of requests that it gets, in percent.
        facts: Further fields of the log's entry.
        before: What is done before the change is logged.
    """
    repository = log.repository

    def plan() -> Entry:
        serving = serving_version(repository)
        moves = _moves(find_folders(repository, Role.CANARY), Role.SUPERSEDED)
        if serving is not None and traffic < 100 and serving.number > staged.number:
            raise StepError(
                f"version {serving.number} was pushed to {repository} meanwhile: push again"
            )
        if serving is None or traffic >= 100:
            moves.append((staged.name, folder_name(staged.number, Role.SERVED)))
            highest = max(staged.number, serving.number if serving else 0)
            return Entry("push", staged.number, highest, moves=moves, **facts)
        moves.append((staged.name, folder_name(staged.number, Role.CANARY)))
        number = staged.number
        return Entry("canary", number, serving.number, number, traffic, moves=moves, **facts)

    return change(log, plan, before)


def promote(
    log: PushLog,
    traffic: int = 100,
    reason: str = "",
    canary: int | None = None,
    before: Before | None = None,
) -> Entry:
    """Makes the canary the version that serves, or gives it another share of requests.

    Args:
        log: The repository's log.
        traffic: The share of requests that it gets, in percent; from 100 on it serves.
        reason: Why, for the log.
        canary: The number that the canary must have, if any will not do.
        before: What is done before the change is logged.

    Raises:
        StepError: There is no such canary, or a higher version serves already.
    """
    repository = log.repository

    def plan() -> Entry:
        found = find_canary(repository)
        _check_canary(repository, found, canary)
        if found is None:
            raise StepError(f"{repository} has no canary to promote")
        serving, number = serving_version(repository), found.number
        if serving is not None and serving.number > number:
            raise StepError(
                f"version {serving.number} serves at {repository}, above the canary "
                f"{number}: push the model again"
            )
        if traffic < 100 and serving is not None:
            return Entry("traffic", number, serving.number, number, traffic, reason=reason)
        moves = [(found.name, folder_name(number, Role.SERVED))]
        return Entry("promote", number, number, moves=moves, reason=reason)

    return change(log, plan, before, completes="promote" if traffic >= 100 else "")


def roll_back(
    log: PushLog,
    to: int | None = None,
    reason: str = "",
    canary: int | None = None,
    before: Before | None = None,
) -> Entry:
    """Takes the canary back, or goes back to an earlier version, for good.

    Args:
        log: The repository's log.
        to: The number of the version that is to serve, which may have been rolled back itself; all
            above it are taken out of service. By default the canary is, and where there is none,
            the version that serves, for the next whole one below it.
        reason: Why, for the log.
        canary: The number that the canary must have, if any will not do.
        before: What is done before the change is logged.

    Raises:
        StepError: There is no version to go back to, or the canary is another.
    """
    repository = log.repository

    def plan() -> Entry:
        found, serving = find_canary(repository), serving_version(repository)
        _check_canary(repository, found, canary)
        if to is None and found is not None and serving is not None:
            target, gone = serving, [found]
        else:
            target = _whole_before(repository) if to is None else _wanted(repository, to)
            versions = [*find_versions(repository), *([found] if found else [])]
            gone = [version for version in versions if version.number > target.number]
        # The highest goes last: until then it serves, and none that is on its way out.
        gone.sort(key=lambda version: (version != found, version.number))
        moves = _moves([target], Role.SERVED) if target.name.startswith(".") else []
        spellings = [each for version in gone for each in _spellings(repository, version)]
        stays = found if found is not None and found not in (*gone, target) else None
        return Entry(
            action="rollback",
            version=max(version.number for version in (*gone, target)),
            serving=target.number,
            canary=stays.number if stays else None,
            traffic=canary_traffic(stays, log.last),
            rolled_back=sorted({version.number for version in gone}, reverse=True),
            moves=[*moves, *_moves(spellings, Role.ROLLED_BACK)],
            reason=reason,
        )

    return change(log, plan, before, completes="rollback" if to is None else "")


def _check_canary(repository: str, found: Version | None, wanted: int | None) -> None:
    """Refuses a change of a canary that has become another since somebody looked at it."""
    if wanted is not None and (found is None or found.number != wanted):
        now = f"the canary is version {found.number}" if found else "there is no canary"
        raise StepError(f"{repository} has changed: {now}, not version {wanted}; try again")


def prune(log: PushLog, keep: int) -> list[int]:
    """Removes all but the newest versions; never the one that serves, nor the canary.

    Args:
        log: The repository's log.
        keep: How many stay, those out of service counted.

    Returns:
        The numbers of the removed versions.
    """
    repository = log.repository
    removed: list[int] = []

    def plan() -> Entry | None:
        serving, canary = serving_version(repository), find_canary(repository)
        kept = {version.number for version in (serving, canary) if version is not None}
        roles = (Role.SERVED, Role.ROLLED_BACK, Role.SUPERSEDED)
        found = [version for role in roles for version in find_versions(repository, role)]
        newest = sorted({version.number for version in found} - kept, reverse=True)
        kept.update(newest[: max(0, keep - len(kept))])
        gone = [version for version in found if version.number not in kept]
        if serving is None or not gone:
            return None
        removed[:] = sorted({version.number for version in gone})
        return Entry(
            action="prune",
            version=serving.number,
            serving=serving.number,
            canary=canary.number if canary else None,
            traffic=canary_traffic(canary, log.last),
            moves=_moves(gone, Role.PRUNED),
        )

    change(log, plan)
    remove_pruned(repository)
    return removed


def remove_pruned(repository: str) -> None:
    """Removes folders that are on their way out, also those that a killed command has left."""
    for version in find_folders(repository, Role.PRUNED):
        with (
            files.clear_errors(f"cannot remove {version.location}", StepError),
            contextlib.suppress(FileNotFoundError),  # another command removes it too
        ):
            folders.delete_folder(version.location)


_Planned = TypeVar("_Planned", Entry, Entry | None)


def change(
    log: PushLog,
    plan: Callable[[], _Planned],
    before: Before | None = None,
    completes: str = "",
) -> _Planned:
    """Plans, logs and carries out a change; the entry as it was logged.

    Args:
        log: The repository's log.
        plan: Gives the entry, or None where nothing is to be done.
        before: What is done before the entry is logged; where it fails, nothing changes.
        completes: An action that is not done again where a killed command has just been completed
            that had begun it.
    """
    repository = log.repository
    while True:
        log.refresh()
        if log.last and take_over(repository, log.last) and log.last.action == completes:
            return log.last
        entry = _planned(repository, plan)
        if log.refresh():
            continue  # another command changes what the plan was made upon
        if isinstance(entry, StepError):
            raise entry
        if entry is None:
            return entry
        if before is not None:
            before(entry)
        with files.clear_errors(f"cannot write {repository}", StepError):
            is_logged = log.append(entry)
        if is_logged and log.last:
            carry_out(repository, log.last)
            return log.last


def _planned(repository: str, plan: Callable[[], _Planned]) -> _Planned | StepError:
    """What a plan gives, or why there is none."""
    try:
        entry = plan()
    except StepError as error:
        return error
    taken = {*listed(repository)[0], *listed(repository)[1]} if entry else set()
    for _, target in entry.moves if entry else ():
        if target in taken:
            return StepError(f"{repository}/{target} is in the way: give it another name")
    return entry


def _moves(versions: Iterable[Version], role: Role) -> list[tuple[str, str]]:
    digits = {version.name: version.name.rpartition("-")[2] for version in versions}
    return [(name, f".{role}-{number}" if role else number) for name, number in digits.items()]


def _spellings(repository: str, version: Version) -> list[Version]:
    """All folders of a version's number; `07` beside `7` would serve once `7` is renamed."""
    if not is_version_name(version.name):
        return [version]
    names = [name for name in listed(repository)[0] if is_version_name(name)]
    same = sorted((name for name in names if int(name) == version.number), key=len, reverse=True)
    return [Version(version.number, f"{repository}/{name}") for name in same]


def _whole_before(repository: str) -> Version:
    versions = find_versions(repository)
    for version in versions[1:]:
        if is_whole(version):
            return version
        _log.warning("%s is damaged, and is rolled back too", version.location)
    count = {0: "no complete version", 1: "1 complete version"}.get(len(versions))
    raise StepError(f"{repository} has {count or 'no other whole version'}: none to go back to")


def _wanted(repository: str, number: int) -> Version:
    roles = (Role.SERVED, Role.CANARY, Role.ROLLED_BACK, Role.SUPERSEDED)
    known = [version for role in roles for version in find_versions(repository, role)]
    for version in known:
        if version.number == number:
            if not is_whole(version):
                raise StepError(f"{version.location} is damaged: it cannot serve")
            return version
    numbers = ", ".join(str(version.number) for version in known) or "none"
    raise StepError(f"{repository} has no version {number}; it has {numbers}")
