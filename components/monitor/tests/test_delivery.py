"""Who is told of alerts, and what: real servers take the messages."""

import base64
import io
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from components.monitor.alerts.alert import open_alerts, read_alerts
from components.monitor.alerts.answering import acknowledge, alerts_table, mute
from components.monitor.alerts.update import update_alerts
from components.monitor.delivery.tell import tell
from components.monitor.settings import MonitorSettings
from components.monitor.tests.alert_world import DAY, add_window, alert_settings, database
from components.monitor.tests.small_world import image_id, write_samples
from darkroom.channels.tests.servers import MailServer, WebServer

NOW = 2 * DAY


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with database(tmp_path) as opened:
        yield opened


def asked(folder: Path, **channels: Any) -> MonitorSettings:
    values = {"state": str(folder), "samples": str(folder), "model": "flowers", "notify": channels}
    return MonitorSettings.model_validate(values)


def drifted(connection: sqlite3.Connection, test: str, since: int = 0, version: str = "1") -> None:
    """Two days on which a test alarms."""
    days = [window for (window,) in connection.execute("SELECT DISTINCT window FROM windows")]
    for day in (since, since + 1):
        if day * DAY not in days:
            add_window(connection, day, 0.4, since=since, test=test, version=version)
            continue
        row = (version, day * DAY, test)
        connection.execute("INSERT INTO tests VALUES (?, ?, ?, 9, 1, ?, 0.2, 0.4)", (*row, since))
        connection.execute("INSERT INTO shares VALUES (?, ?, ?, 40, 100)", row)


def test_all_that_is_new_is_one_message_and_told_once(
    connection: sqlite3.Connection, tmp_path: Path, web: WebServer
) -> None:
    for number in range(12):
        drifted(connection, f'accuracy {{"label": "l{number}"}}')
    drifted(connection, "brightness<96")
    connection.execute("UPDATE tests SET before = 0.6, after = 0.4 WHERE test LIKE 'accuracy%'")
    update_alerts(connection, alert_settings(), NOW)
    settings = asked(tmp_path, webhook="HOOK", slack="HOOK")
    assert tell(connection, settings, "https://page", NOW) == {"webhook": "sent", "slack": "sent"}
    webhook, slack = web.messages
    assert webhook["text"] == "flowers: accuracy of label l0 has fallen, and 12 more"
    assert (webhook["model"], webhook["page"]) == ("flowers", "https://page")
    assert len(webhook["alerts"]) == 13
    first = webhook["alerts"][0]
    assert (first["kind"], first["version"]) == ("fall", "1")
    assert (first["figures"]["before"], first["figures"]["after"]) == (0.6, 0.4)
    lines = slack["blocks"][1]["text"]["text"].splitlines()
    assert lines[0].startswith("*alert 1, version 1*: accuracy of label l0: 0.600 before, 0.400 ")
    assert lines[-2:] == ["and 3 more", "*page*: <https://page>"]
    assert tell(connection, settings, "https://page", NOW) == {}
    assert all(alert.told == NOW for alert in open_alerts(connection))
    assert len(web.messages) == 2


def test_a_channel_that_fails_is_told_at_the_next_run_and_no_other_again(
    connection: sqlite3.Connection, tmp_path: Path, web: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWAY", raising=False)
    settings = asked(tmp_path, webhook="HOOK", slack="AWAY")
    drifted(connection, "label=roses")
    update_alerts(connection, alert_settings(), NOW)
    assert tell(connection, settings, "", NOW) == {
        "webhook": "sent",
        "slack": "the environment variable AWAY is not set",
    }
    assert "not told yet" in alerts_table(connection, NOW)
    monkeypatch.setenv("AWAY", web.address)
    drifted(connection, "brightness<96", since=5)
    update_alerts(connection, alert_settings(), 7 * DAY)
    assert tell(connection, settings, "", 7 * DAY) == {"webhook": "sent", "slack": "sent"}
    texts = [message["text"] for message in web.messages]
    # Slack has both by now, and the webhook each once.
    assert texts == [
        "flowers: label has changed",
        "flowers: brightness has changed",
        "flowers: label has changed, and 1 more",
    ]
    assert tell(connection, settings, "", 7 * DAY) == {}


def test_alerts_of_the_same_cause_that_come_later_are_not_told(
    connection: sqlite3.Connection, tmp_path: Path, web: WebServer
) -> None:
    settings = asked(tmp_path, webhook="HOOK")
    drifted(connection, "brightness<96")
    update_alerts(connection, alert_settings(), NOW)
    tell(connection, settings, "", NOW)
    drifted(connection, "confidence<0.8")
    update_alerts(connection, alert_settings(), NOW)
    assert tell(connection, settings, "", NOW + 1) == {}
    drifted(connection, "label=roses", since=4)
    update_alerts(connection, alert_settings(), 6 * DAY)
    assert tell(connection, settings, "", 6 * DAY) == {"webhook": "sent"}
    assert [message["text"] for message in web.messages] == [
        "flowers: brightness has changed",
        "flowers: label has changed",
    ]


def test_muted_and_acknowledged_ones_are_not_told(
    connection: sqlite3.Connection, tmp_path: Path, web: WebServer
) -> None:
    settings = asked(tmp_path, webhook="HOOK")
    drifted(connection, "brightness<96")
    (alert,) = update_alerts(connection, alert_settings(), NOW)
    mute(connection, "drift", "", NOW + DAY)
    assert tell(connection, settings, "", NOW) == {}
    mute(connection, "drift", "", NOW)
    mute(connection, "drift", "label", NOW + DAY)
    assert tell(connection, settings, "", NOW) == {"webhook": "sent"}
    connection.execute("UPDATE alerts SET told = NULL")
    connection.execute("DELETE FROM tellings")
    acknowledge(connection, alert.id, "Ann", NOW)
    assert tell(connection, settings, "", NOW) == {}
    assert len(web.messages) == 1


def test_one_that_returns_soon_is_not_told_again(
    connection: sqlite3.Connection, tmp_path: Path, web: WebServer
) -> None:
    settings, alerts = asked(tmp_path, webhook="HOOK"), alert_settings(no_traffic=None)
    for day, share in enumerate((0.4, 0.4, 0.2, 0.2, 0.2, 0.4, 0.2, 0.2, 0.2, 0.4)):
        add_window(connection, day, share)
        update_alerts(connection, alerts, (day + 1) * DAY)
        tell(connection, settings, "", (day + 1) * DAY)
    assert len(web.messages) == len(read_alerts(connection)) == 1


def test_an_email_has_the_worst_photographs(
    connection: sqlite3.Connection, tmp_path: Path, mail: MailServer, web: WebServer
) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (640, 480), (200, 30, 30)).save(buffer, "JPEG")
    kept = {"image": base64.b64encode(buffer.getvalue()).decode()}
    write_samples(tmp_path, [{"image_id": image_id(1), **kept}, {"image_id": image_id(2)}])
    drifted(connection, "label=roses")
    for number in (1, 2):  # of one the server has kept the photograph
        connection.execute(
            "UPDATE answers SET image_id = ? WHERE window = ?",
            (image_id(number), (2 - number) * DAY),
        )
    update_alerts(connection, alert_settings(), NOW)
    host, port = mail.server_address[:2]
    account: dict[str, Any] = {"server": host, "port": port, "security": "none"}
    account |= {"sender": "darkroom@example.org", "to": ["ann@example.org"]}
    settings = asked(tmp_path, webhook="HOOK", email=account)
    assert tell(connection, settings, "", NOW) == {"webhook": "sent", "email": "sent"}
    (message,) = mail.mails
    assert message["Subject"] == "[darkroom] flowers: label has changed"
    _, body, picture = message.walk()
    text = body.get_payload(decode=True)
    assert isinstance(text, bytes)
    assert f"; see {tmp_path}/flowers" in text.decode().replace("\n", "")
    assert picture.get_filename() == "alert-1-1.jpg"
    small = picture.get_payload(decode=True)
    assert isinstance(small, bytes)
    with Image.open(io.BytesIO(small)) as shown:
        assert shown.size == (224, 168)
    samples = web.messages[0]["alerts"][0]["figures"]["samples"]
    assert [sample.get("where") for sample in samples] == [f"{tmp_path}/flowers"]
    # What was found stays noted.
    update_alerts(connection, alert_settings(), NOW)
    assert open_alerts(connection)[0].figures["samples"] == samples


def test_without_channels_or_samples_nobody_is_told(
    connection: sqlite3.Connection, tmp_path: Path, web: WebServer
) -> None:
    drifted(connection, "label=roses")
    update_alerts(connection, alert_settings(), NOW)
    assert tell(connection, asked(tmp_path), "", NOW) == {}
    assert open_alerts(connection)[0].told is None
    # A folder of samples that is gone costs the photographs alone.
    assert tell(connection, asked(tmp_path / "gone", webhook="HOOK"), "", NOW) == {
        "webhook": "sent"
    }
