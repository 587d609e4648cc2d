"""What `darkroom monitor` says of alerts, and is told of them."""

import getpass
import json
import socket
import time
from typing import TYPE_CHECKING

from components.monitor.alerts.alert import open_alerts
from components.monitor.alerts.answering import acknowledge, alerts_table, mute, unmute
from components.monitor.state.database import opened
from components.monitor.state.folder import changed, fetched, has_state
from darkroom.durations import Duration, seconds
from darkroom.errors import SettingsError
from pipeline.cli.terminal import one_line

if TYPE_CHECKING:
    from components.monitor.settings import MonitorSettings

_LONGEST_MUTE = 3650 * 86400


def show_alerts(settings: "MonitorSettings", as_json: bool) -> None:
    """Prints the open alerts."""
    _check(settings.state)
    with fetched(settings.state) as kept, opened(kept.database) as connection:
        if as_json:
            alerts = [alert._asdict() for alert in open_alerts(connection)]
            print(json.dumps(alerts, indent=2, ensure_ascii=False))
        else:
            for line in alerts_table(connection).split("\n"):
                print(one_line(line))
            if not settings.notify.names:
                print("nobody is told of alerts: 'monitor.notify' has no channel")


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
    _check(state)
    changed(state, lambda connection: acknowledge(connection, alert, by))


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
    _check(state)
    changed(state, lambda connection: mute(connection, kind, subject, until))


def unmute_alerts(state: str, what: str) -> None:
    """Lets the channels be told again.

    Args:
        state: The monitor's.
        what: As it was muted: a kind, or kind and subject.

    Raises:
        SettingsError: It is not muted.
        StepError: The state cannot be written.
    """
    kind, _, subject = what.partition(":")
    _check(state)
    if not changed(state, lambda connection: unmute(connection, kind, subject)):
        raise SettingsError(f"{what} is not muted: darkroom monitor CONFIG --alerts shows what is")


def _check(state: str) -> None:
    if not has_state(state):
        raise SettingsError(f"no monitor has been at work in {state}: run it once")


def _seconds(duration: str) -> int:
    import pydantic

    try:
        length = seconds(pydantic.TypeAdapter(Duration).validate_python(duration))
    except pydantic.ValidationError:
        raise SettingsError(f"--for {duration}: expected a time such as 12h or 7d") from None
    if length > _LONGEST_MUTE:
        raise SettingsError(f"--for {duration}: at most 3650d")
    return length
