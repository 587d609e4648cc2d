"""What `darkroom monitor` says of alerts, and is told of them."""

import contextlib
import getpass
import json
import socket
import sqlite3
import time
from collections.abc import Iterator

from components.monitor.alerts.alert import open_alerts
from components.monitor.alerts.answering import acknowledge, alerts_table, mute
from components.monitor.state.database import opened
from components.monitor.state.folder import OvertakenError, State, fetched
from darkroom.durations import Duration, seconds
from darkroom.errors import SettingsError

_ATTEMPTS = 3


def show_alerts(state: str, as_json: bool) -> None:
    """Prints the open alerts."""
    with fetched(state) as kept, _known(kept) as connection:
        if as_json:
            alerts = [alert._asdict() for alert in open_alerts(connection)]
            print(json.dumps(alerts, indent=2, ensure_ascii=False))
        else:
            print(alerts_table(connection))


def acknowledge_alert(state: str, alert: int) -> None:
    """Notes that whoever calls this looks after an alert.

    Raises:
        SettingsError: There is no such alert.
        StepError: The state cannot be written.
    """
    try:
        by = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        by = socket.gethostname()
    for kept in _changed(state):
        with _known(kept) as connection:
            acknowledge(connection, alert, by)


def mute_alerts(state: str, what: str, duration: str) -> None:
    """Keeps the channels from being told of some alerts for a time.

    Args:
        state: The monitor's.
        what: The alerts' kind, or kind and subject, such as `drift:brightness`.
        duration: How long, such as `7d`.

    Raises:
        SettingsError: There is no such kind, or no such duration.
        StepError: The state cannot be written.
    """
    kind, _, subject = what.partition(":")
    until = time.time() + _seconds(duration)
    for kept in _changed(state):
        with _known(kept) as connection:
            mute(connection, kind, subject, until)


def _changed(state: str) -> Iterator[State]:
    """The state to change, which is then kept; again where a monitor has written it meanwhile."""
    for attempt in range(1, _ATTEMPTS + 1):
        with fetched(state) as kept:
            yield kept
            try:
                kept.keep()
            except OvertakenError:
                if attempt == _ATTEMPTS:
                    raise
            else:
                return


@contextlib.contextmanager
def _known(state: State) -> Iterator[sqlite3.Connection]:
    if not state.database.exists():
        raise SettingsError(f"no monitor has been at work in {state.location}: run it once")
    with opened(state.database) as connection:
        yield connection


def _seconds(duration: str) -> int:
    import pydantic

    try:
        return seconds(pydantic.TypeAdapter(Duration).validate_python(duration))
    except pydantic.ValidationError:
        raise SettingsError(f"--for {duration}: expected a time such as 12h or 7d") from None
