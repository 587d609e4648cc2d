"""The monitor's job: from the state that was kept, over the windows, to the state that is kept."""

import logging
import sqlite3
import time
from pathlib import Path
from typing import Any

from components.monitor.alerts.alert import open_alerts
from components.monitor.delivery.tell import tell
from components.monitor.monitor import Report, watch
from components.monitor.page.mistakes import Pictures
from components.monitor.page.page import write_page
from components.monitor.retraining.retraining import claim_retraining, prepare_retraining
from components.monitor.settings import MonitorSettings
from components.monitor.state.database import opened
from components.monitor.state.folder import PAGE, OvertakenError, State, held
from components.monitor.state.marks import update_marks
from components.monitor.windows.newest import newest_windows
from components.monitor.windows.reference import version_references
from darkroom.artifacts.manifest import atomic_artifact, write_manifest
from darkroom.errors import SettingsError, StepError
from darkroom.storage.folders import read_folders
from darkroom.storage.paths import is_uri

_log = logging.getLogger("darkroom.monitor")

KIND = "watched"
RETRAIN, STEADY = "retrain", "steady"
_ATTEMPTS = 3
_GOOGLE, _CONSOLE = "gs://", "https://storage.cloud.google.com/"
"""A bucket's URI, and where a browser finds what is in it."""


def monitor(settings: MonitorSettings, *, watched: Path) -> str:
    """Reads what is new of a model in production, and writes what has become of it.

    It may run as often as one likes, and be killed at any moment: the next run ends as if it had
    not been. Of two at once that share a folder the second ends at once; of two that share a bucket
    the one that is overtaken does its work again, upon the other's.

    Args:
        settings: What is watched, and where the state is kept.
        watched: Output: what this run found, and the page.

    Returns:
        `retrain` while a retraining has not ended, else `steady`.

    Raises:
        SettingsError: There are no samples, or the state is none of the monitor's.
        StepError: Something cannot be read, or the state cannot be written.
    """
    if settings.versions is None:
        raise SettingsError(
            "setting 'monitor.versions' is missing: say where the versions were pushed to"
        )
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with held(settings.state) as state, read_folders(settings.predictions) as here:
                with_copies = settings.model_copy(update={"predictions": here})
                return _monitor(with_copies, settings.versions, state, watched)
        except OvertakenError as overtaken:
            if attempt == _ATTEMPTS:
                raise
            _log.info("%s: once more, from there", str(overtaken).partition(",")[0])
    raise AssertionError("unreachable")


def _monitor(settings: MonitorSettings, versions: str, state: State, watched: Path) -> str:
    began = time.time()
    references = version_references(versions, settings.slicings)
    with opened(state.database) as connection:
        problem = _mark(connection, versions)  # first: it says which versions have ended
    report = watch(settings, state.database, references, began)
    report.problems.update(problem)
    with opened(state.database) as connection:
        claim_retraining(connection, settings, began)
    # Before anybody is told: of several monitors at once, only one gets past this line.
    state.claim()
    with opened(state.database) as connection:
        tell(connection, settings, _address(state), began)
    state.keep()  # whatever comes now, nobody is told twice
    with opened(state.database) as connection:
        retraining = prepare_retraining(connection, settings, references)
        found = _found(connection, report) | {"page": state.page}
    state.keep()
    with atomic_artifact(watched) as folder:
        _draw(settings, state, folder / PAGE)
        write_manifest(folder, KIND, found)
    _log.info(
        "%d new answers, %d labels new or changed, %d windows written, %d alerts open, in %.1f s",
        *(report.new, report.relabelled, len(report.windows), len(found["alerts"])),
        time.time() - began,
    )
    _log.info("page: %s", state.page)
    return STEADY if retraining is None else RETRAIN


def _mark(connection: sqlite3.Connection, versions: str) -> list[str]:
    """Writes what happened to the versions; what is in the way, if anything is."""
    try:
        update_marks(connection, versions)
    except StepError as error:
        # Nothing that is measured hangs on marks.
        _log.warning("%s", error)
        return [str(error)]
    return []


def _draw(settings: MonitorSettings, state: State, page: Path) -> None:
    pictures = None
    if settings.samples is not None and settings.model is not None:
        pictures = Pictures(settings.samples, settings.model)
    write_page(state.database, page, title=settings.model or "model", pictures=pictures)
    state.keep_page(page)


def _address(state: State) -> str:
    """Where people who are told find the page; "" if it is a file of this machine."""
    if state.page.startswith(_GOOGLE):
        return _CONSOLE + state.page.removeprefix(_GOOGLE)
    return state.page if is_uri(state.page) else ""


def _found(connection: sqlite3.Connection, report: Report) -> dict[str, Any]:
    """What the artifact's manifest says."""
    return {
        "windows": [{"version": version, "window": window} for version, window in report.windows],
        "counts": {
            "new": report.new,
            "known": report.known,
            "relabelled": report.relabelled,
            "windows": len(report.windows),
        },
        "problems": dict(report.problems),
        "newest": newest_windows(connection),
        "alerts": [alert._asdict() for alert in open_alerts(connection)],
    }
