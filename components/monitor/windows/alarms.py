"""The tests of a version's life: which shares have changed, looked at in every window."""

import sqlite3
from collections.abc import Mapping
from typing import Any

import numpy as np

from components.monitor.sequential.alarms import alarmed, shares
from components.monitor.sequential.changed_share import Counted, changed_share
from components.monitor.windows.figures import window_shares
from components.monitor.windows.reference import Reference

Families = Mapping[str, Mapping[str, Counted]]


def reference_shares(reference: Reference) -> Families:
    """The counts of the reference, by family and test; they settle which tests there are."""
    figures: dict[str, Any] = {
        "labels": reference.given,
        "formats": reference.formats,
        "histograms": reference.histograms,
    }
    of_slices = {name: counted for name, counted in reference.right.items() if name != "{}"}
    overall = {name: counted for name, counted in reference.right.items() if name == "{}"}
    return {
        **window_shares(figures, reference),
        "accuracy": {accuracy_test(name): counted for name, counted in overall.items()},
        "accuracy of slices": {accuracy_test(name): counted for name, counted in of_slices.items()},
    }


def accuracy_test(slice_name: str) -> str:
    """The name of the test of a slice's accuracy.

    >>> accuracy_test("{}"), accuracy_test('{"label": "roses"}')
    ('accuracy', 'accuracy {"label": "roses"}')
    """
    return "accuracy" if slice_name == "{}" else f"accuracy {slice_name}"


def look(connection: sqlite3.Connection, version: str, reference: Reference, rate: float) -> None:
    """Tests every window that has not been tested since something changed in it or before it.

    Args:
        connection: The database, in a transaction.
        version: The model's version.
        reference: What it is held against.
        rate: Of false alarms over the version's life.
    """
    families = reference_shares(reference)
    of_rate = shares({family: list(tests) for family, tests in families.items()})
    known = {test: counted for tests in families.values() for test, counted in tests.items()}
    windows = connection.execute(
        "SELECT window, tested FROM windows WHERE version = ? ORDER BY window", (version,)
    ).fetchall()
    places = {window: place for place, (window, _) in enumerate(windows)}
    counted = {test: np.zeros((len(windows), 2)) for test in known}
    for test, window, *counts in connection.execute(
        "SELECT test, window, hits, total FROM shares WHERE version = ?", (version,)
    ):
        if test in counted:
            counted[test][places[window]] = counts
    for window, tested in windows:
        if tested:
            continue
        found = {}
        for test, of_reference in known.items():
            so_far = counted[test][: places[window] + 1]
            if (change := changed_share(of_reference, so_far)) is not None:
                found[test] = change
        alarms = alarmed({test: change.e_value for test, change in found.items()}, of_rate, rate)
        connection.execute("DELETE FROM tests WHERE version = ? AND window = ?", (version, window))
        connection.executemany(
            "INSERT INTO tests VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    *(version, window, test, change.log_e_value, test in alarms),
                    # SQLite takes not-a-number for NULL.
                    *(windows[change.since][0], change.before, change.after),
                )
                for test, change in found.items()
            ],
        )
        connection.execute(
            "UPDATE windows SET tested = 1 WHERE version = ? AND window = ?", (version, window)
        )
