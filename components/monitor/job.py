"""The monitor's job: from the state that was kept, over the windows, to the state that is kept."""

import json
import logging
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.monitor.monitor import Report, watch
from components.monitor.retraining.retraining import claim_retraining, prepare_retraining
from components.monitor.settings import MonitorSettings
from components.monitor.state.database import opened
from components.monitor.state.folder import OvertakenError, State, held
from components.monitor.state.marks import update_marks
from components.monitor.windows.newest import newest_windows
from components.monitor.windows.reference import Reference
from darkroom.artifacts.manifest import atomic_artifact, write_manifest
from darkroom.errors import SettingsError, StepError
from darkroom.storage.folders import read_folders

_log = logging.getLogger("darkroom.monitor")

KIND = "watched"
RETRAIN, STEADY = "retrain", "steady"
_ATTEMPTS = 3


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
            "setting 'monitor.versions' is missing: name the folder or bucket of the versions"
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
    # version_references(versions, settings.slicings), once versions hold their reference.
    references: Mapping[str, Reference] = {}
    report = watch(settings, state.database, references)
    with opened(state.database) as connection:
        try:
            update_marks(connection, versions)
        except StepError as error:
            # Marks are for people to see: nothing that is measured hangs on them.
            report.problems[str(error)] += 1
            _log.warning("%s", error)
        claim_retraining(connection, settings, began)
        found = _found(connection, report)
    # Before anybody is told: of several monitors at once, one goes on from here.
    state.claim()
    with opened(state.database) as connection:
        retraining = prepare_retraining(connection, settings, references)
    state.keep()
    with atomic_artifact(watched) as folder:
        write_manifest(folder, KIND, found)
    _log.info(
        "%d new answers, %d labels new or changed, %d windows written in %.1f s; state: %s",
        *(report.new, report.relabelled, len(report.windows), time.time() - began, state.location),
    )
    return STEADY if retraining is None else RETRAIN


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
        "alerts": _open_alerts(connection),
    }


def _open_alerts(connection: sqlite3.Connection) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT id, version, kind, subject, opened, message, figures FROM alerts "
        "WHERE closed IS NULL ORDER BY opened, id"
    )
    names = [name for name, *_ in rows.description]
    alerts = [dict(zip(names, row, strict=True)) for row in rows]
    return [alert | {"figures": json.loads(alert["figures"])} for alert in alerts]
