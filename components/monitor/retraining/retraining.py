"""The decision to retrain: made once, with the photographs whose labels have come."""

import logging
import sqlite3
from collections.abc import Mapping
from typing import Protocol

from components.monitor.retraining.claims import (
    Retraining,
    claim,
    last_retraining,
    note_dataset,
    note_end,
    note_run,
    open_retraining,
)
from components.monitor.retraining.dataset import Tables, read_tables, write_photograph, write_table
from components.monitor.retraining.due import Since, reason_to_retrain, watched_version
from components.monitor.retraining.labelled import Kept, kept_photographs, labelled_photographs
from components.monitor.retraining.settings import How, RetrainSettings
from components.monitor.retraining.trigger import ask_for_run
from components.monitor.windows.reference import Reference

FEW = 0.1
"""Under so many new photographs for each old one, `auto` fine-tunes."""
_log = logging.getLogger("darkroom.monitor")


class Watched(Kept, Protocol):
    """What the monitor's settings say of a model."""

    @property
    def rate(self) -> float:
        """Of false alarms over the life of a version."""

    @property
    def retrain(self) -> RetrainSettings | None:
        """When the model is trained again."""


def claim_retraining(connection: sqlite3.Connection, settings: Watched, now: float) -> None:
    """Claims a retraining where one is due and none is under way; nothing else is done.

    Args:
        connection: The monitor's database, whose windows and alerts are up to date.
        settings: The monitor's settings.
        now: Seconds since 1970.
    """
    retrain, version = settings.retrain, watched_version(connection)
    if retrain is not None and version is not None and open_retraining(connection) is None:
        _claimed(connection, settings, retrain, version, now)


def update_retraining(
    connection: sqlite3.Connection,
    settings: Watched,
    now: float,
    references: Mapping[str, Reference],
) -> Retraining | None:
    """Decides whether a retraining is due, claims it, and writes its photographs.

    It may be called as often as one likes: while one is under way no other is claimed, and one that
    was claimed and not started, since a process was killed between, is prepared again.

    Args:
        connection: The monitor's database, whose windows and alerts are up to date.
        settings: The monitor's settings.
        now: Seconds since 1970.
        references: What each version is held against.

    Returns:
        The retraining that is under way, to be started if it has no run; None if there is none.

    Raises:
        StepError: The dataset cannot be read or written.
    """
    retrain = settings.retrain
    if retrain is None:
        return None
    found = open_retraining(connection)
    if found is not None and found.run is not None and retrain.trigger is not None:
        # Nothing here can ask a cluster how its run ended.
        if now - found.claimed < retrain.longest * 3600:
            return found
        note_end(connection, found.number, "unknown")
        return None
    version = watched_version(connection)
    if version is None:
        return found
    if found is None:
        found = _claimed(connection, settings, retrain, version, now)
        if found is None:
            return None
    if found.run is None:
        found = _prepared(connection, settings, retrain, found, references.get(version))
        if retrain.trigger is not None and (run := ask_for_run(found, retrain.trigger)):
            note_run(connection, found.number, run)
    return open_retraining(connection)


def _claimed(
    connection: sqlite3.Connection,
    settings: Watched,
    retrain: RetrainSettings,
    version: str,
    now: float,
) -> Retraining | None:
    last = last_retraining(connection)
    since = Since(version, 0.0 if last is None else last.claimed, now, settings.rate)
    reason = reason_to_retrain(connection, retrain.alternatives, since)
    if not reason:
        return None
    how: How = "from_scratch" if retrain.how == "from_scratch" else "fine_tune"
    found = claim(connection, now, reason, how, version)
    _log.info("retraining %d: %s", found.number, found.reason)
    return found


def _prepared(
    connection: sqlite3.Connection,
    settings: Watched,
    retrain: RetrainSettings,
    found: Retraining,
    reference: Reference | None,
) -> Retraining:
    """Writes the photographs of a retraining; what was written before it was cut off stays."""
    tables = read_tables(retrain.dataset)
    if found.key not in tables.counts:
        rows = labelled_photographs(connection)
        wanted = rows.keys() - tables.photographs
        missing = set(wanted)
        for image_id, content in kept_photographs(settings, missing):
            write_photograph(retrain.dataset, image_id, content)
        if missing:
            _log.warning(
                "%d of %d labelled photographs were not kept, and cannot be trained on: let the "
                "server keep them (sample.images), for as long as labels take (sample.files)",
                *(len(missing), len(wanted)),
            )
        kept = {image_id: rows[image_id] for image_id in wanted - missing}
        if kept:
            write_table(retrain.dataset, found.key, kept)
            tables = read_tables(retrain.dataset)
    labelled = tables.counts.get(found.key, 0)
    how = retrain.how
    if how == "auto":
        how = _by_share(_new(connection, tables, found), reference)
    note_dataset(connection, found.number, labelled, how)
    _log.info("retraining %d: %s with %d new photographs", found.number, how, labelled)
    return open_retraining(connection) or found


def _new(connection: sqlite3.Connection, tables: Tables, found: Retraining) -> int:
    """Photographs of the retrainings since the last one from scratch, with those of this one."""
    rows = connection.execute(
        "SELECT number, claimed, reason, how, labelled FROM retrainings WHERE number <= ? "
        "AND number > (SELECT coalesce(max(number), 0) FROM retrainings "
        "WHERE how = 'from_scratch' AND number < ?)",
        (found.number, found.number),
    )
    return sum(tables.counts.get(Retraining(*row).key, 0) for row in rows)


def _by_share(new: int, reference: Reference | None) -> How:
    """How `auto` trains; from scratch where it is not known how many the old photographs are."""
    if reference is None:
        return "from_scratch"
    old = max(sum(reference.formats.values()), sum(reference.given.values()))
    return "fine_tune" if new < FEW * old else "from_scratch"
