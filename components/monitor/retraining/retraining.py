"""The decision to retrain: made once, with the photographs whose labels have come."""

import dataclasses
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
from components.monitor.retraining.pseudo_labelled import write_pseudo_labelled
from components.monitor.retraining.settings import How, RetrainSettings
from components.monitor.retraining.trigger import ask_for_run
from components.monitor.windows.reference import Reference
from darkroom.durations import seconds

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
        connection: The monitor's database, whose windows are up to date.
        settings: The monitor's settings.
        now: Seconds since 1970.
        references: What each version is held against.

    Returns:
        The retraining that is under way; None if there is none.

    Raises:
        StepError: The dataset cannot be read or written.
    """
    claim_retraining(connection, settings, now)
    return prepare_retraining(connection, settings, references)


def claim_retraining(
    connection: sqlite3.Connection, settings: Watched, now: float
) -> Retraining | None:
    """Claims a retraining if one is due.

    Args:
        connection: The monitor's database, whose windows are up to date.
        settings: The monitor's settings.
        now: Seconds since 1970.

    Returns:
        The retraining that is under way; None if there is none.
    """
    retrain, found = settings.retrain, open_retraining(connection)
    if retrain is None:
        return None
    if found is not None:
        # Nothing here can ask a cluster how its run ended.
        is_lost = retrain.trigger is not None and found.run is not None
        if not is_lost or now - found.claimed < seconds(retrain.longest):
            return found
        note_end(connection, found.number, "unknown")
    version = watched_version(connection)
    if version is None:
        return None
    last = last_retraining(connection)
    since = Since(version, 0.0 if last is None else last.claimed, now, settings.rate)
    reason = reason_to_retrain(connection, retrain.alternatives, since)
    if not reason:
        return None
    how: How = "fine_tune" if retrain.how == "auto" else retrain.how
    found = claim(connection, now, reason, how, version)
    _log.info("retraining %d: %s", found.number, found.reason)
    return found


def prepare_retraining(
    connection: sqlite3.Connection, settings: Watched, references: Mapping[str, Reference]
) -> Retraining | None:
    """Writes the photographs of a retraining that was claimed, and asks for its run.

    One that was started is left as it is; what was written before it was cut off stays.

    Args:
        connection: The monitor's database, whose claim no other process can undo by now.
        settings: The monitor's settings.
        references: What each version is held against.

    Returns:
        The retraining that is under way; None if there is none.

    Raises:
        StepError: The dataset cannot be read or written.
    """
    retrain, found = settings.retrain, open_retraining(connection)
    if retrain is None or found is None or found.run is not None:
        return found
    tables = _written(connection, settings, retrain, found)
    labelled = tables.counts.get(found.key, 0)
    how, version = retrain.how, watched_version(connection)
    if how == "auto":
        reference = None if version is None else references.get(version)
        how = _by_share(_new(connection, tables, found), reference)
    if how == "noisy_student":
        known = tables.photographs
        if not write_pseudo_labelled(connection, settings, retrain, found, version or "", known):
            how = "from_scratch"
    note_dataset(connection, found.number, labelled, how)
    _log.info("retraining %d: %s with %d new photographs", found.number, how, labelled)
    prepared = dataclasses.replace(found, labelled=labelled, how=how)
    if retrain.trigger is not None and (run := ask_for_run(prepared, retrain.trigger)):
        note_run(connection, found.number, run)
        return dataclasses.replace(prepared, run=run)
    return prepared


def _written(
    connection: sqlite3.Connection, settings: Watched, retrain: RetrainSettings, found: Retraining
) -> Tables:
    """The dataset, with the photographs of a retraining."""
    tables = read_tables(retrain.dataset)
    if found.key in tables.counts:
        return tables
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
    if not kept:
        return tables
    write_table(retrain.dataset, found.key, kept)
    return read_tables(retrain.dataset)


def _new(connection: sqlite3.Connection, tables: Tables, found: Retraining) -> int:
    """Photographs of the retrainings since the last one from scratch, with those of this one."""
    rows = connection.execute(
        "SELECT number, claimed, reason, how, labelled FROM retrainings WHERE number <= ? "
        "AND number > (SELECT coalesce(max(number), 0) FROM retrainings "
        "WHERE how IN ('from_scratch', 'noisy_student') AND number < ?)",
        (found.number, found.number),
    )
    return sum(tables.counts.get(Retraining(*row).key, 0) for row in rows)


def _by_share(new: int, reference: Reference | None) -> How:
    """How `auto` trains; from scratch where it is not known how many the old photographs are."""
    if reference is None:
        return "from_scratch"
    old = max(sum(reference.formats.values()), sum(reference.given.values()))
    return "fine_tune" if new < FEW * old else "from_scratch"
