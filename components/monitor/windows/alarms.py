"""The tests of a version's life: which shares have changed, looked at in every window."""

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from components.monitor.sequential.alarms import alarmed, shares
from components.monitor.sequential.changed_share import Counted, changed_share
from components.monitor.state.database import transaction
from components.monitor.windows.embeddings import TEST, bet
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


class Known(NamedTuple):
    """What is known of a test after a window.

    Attributes:
        log_e_value: The natural logarithm of the evidence of a change.
        since: The window that it has likely come in.
        before: What is tested, before the change; SQLite takes not-a-number for NULL.
        after: The same since then.
    """

    log_e_value: float
    since: int
    before: float | None
    after: float | None


def families_of(reference: Reference) -> dict[str, list[str]]:
    """The names of all tests by family, as they are settled before the first window."""
    families = {family: list(tests) for family, tests in reference_shares(reference).items()}
    return families | ({} if reference.embedded is None else {TEST: [TEST]})


def look(connection: sqlite3.Connection, version: str, reference: Reference, rate: float) -> None:
    """Tests every window that has not been tested since something changed in it or before it.

    Args:
        connection: The database.
        version: The model's version.
        reference: What it is held against.
        rate: Of false alarms over the version's life.
    """
    of_rate = shares(families_of(reference))
    counted = _Shares(connection, version, reference)
    for place, (window, tested) in enumerate(counted.windows):
        if tested:
            continue
        with transaction(connection):
            found = dict(counted.known_after(place))
            if reference.embedded is not None:
                share = of_rate[TEST]
                won = bet(connection, version, window, reference.embedded, share, rate)
                if won is not None:
                    found[TEST] = Known(won.log_e_value, won.since, 0.5, won.rank)
            _write(connection, version, window, found, of_rate, rate)


class _Shares:
    """The shares of a version, window by window."""

    def __init__(self, connection: sqlite3.Connection, version: str, reference: Reference) -> None:
        self._known = {
            test: counted
            for tests in reference_shares(reference).values()
            for test, counted in tests.items()
        }
        self.windows: Sequence[tuple[int, int]] = connection.execute(
            "SELECT window, tested FROM windows WHERE version = ? ORDER BY window", (version,)
        ).fetchall()
        places = {window: place for place, (window, _) in enumerate(self.windows)}
        self._counted = {test: np.zeros((len(self.windows), 2)) for test in self._known}
        for test, window, *counts in connection.execute(
            "SELECT test, window, hits, total FROM shares WHERE version = ?", (version,)
        ):
            if test in self._counted:
                self._counted[test][places[window]] = counts

    def known_after(self, place: int) -> Iterator[tuple[str, Known]]:
        """What is known of each share after the window at a place."""
        for test, of_reference in self._known.items():
            change = changed_share(of_reference, self._counted[test][: place + 1])
            if change is not None:
                since, _ = self.windows[change.since]
                yield test, Known(change.log_e_value, since, change.before, change.after)


def _write(
    connection: sqlite3.Connection,
    version: str,
    window: int,
    found: Mapping[str, Known],
    of_rate: Mapping[str, float],
    rate: float,
) -> None:
    e_values = {test: math.exp(min(known.log_e_value, 700.0)) for test, known in found.items()}
    alarms = alarmed(e_values, of_rate, rate)
    connection.execute("DELETE FROM tests WHERE version = ? AND window = ?", (version, window))
    connection.executemany(
        "INSERT INTO tests VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                *(version, window, test, known.log_e_value, test in alarms),
                *(known.since, known.before, known.after),
            )
            for test, known in found.items()
        ],
    )
    connection.execute(
        "UPDATE windows SET tested = 1 WHERE version = ? AND window = ?", (version, window)
    )
