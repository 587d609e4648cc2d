"""The live page: the newest figures, the last ones while there are no others, and Prometheus'."""

import datetime
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from components.monitor.page import latest
from components.monitor.page.latest import Latest
from components.monitor.page.live import application, serve
from components.monitor.page.prometheus import CONTENT_TYPE
from components.monitor.tests.small_world import DAY, START
from darkroom.errors import SettingsError


@pytest.fixture
def database(tmp_path: Path, month: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(latest, "EVERY", 0.0)
    monkeypatch.setattr("components.monitor.page.database._WAIT", 0.1)
    return Path(shutil.copy(month, tmp_path / "monitor.db"))


def asked(database: Path) -> TestClient:
    app = application(Latest(database, "flowers"), only_here=True)
    return TestClient(app, base_url="http://localhost")


def change(database: Path, statement: str) -> None:
    connection = sqlite3.connect(database)
    connection.execute(statement)
    connection.commit()
    connection.close()


def samples(client: TestClient) -> dict[str, dict[tuple[str, ...], float]]:
    """By name, and then by the values of labels in the order of their names."""
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for one in family.samples:
            values = tuple(value for _, value in sorted(one.labels.items()))
            found.setdefault(one.name.removeprefix("darkroom_monitor_"), {})[values] = one.value
    return found


def test_the_page_changes_with_the_figures_alone(database: Path) -> None:
    client = asked(database)
    first = client.get("/")
    assert first.status_code == 200
    assert "2 alerts are open" in first.text
    etag = first.headers["etag"]
    assert client.head("/").headers["etag"] == etag
    assert client.get("/", headers={"If-None-Match": etag}).status_code == 304
    # What changes no figure changes no page.
    change(database, "CREATE TABLE other (value)")
    assert client.head("/").headers["etag"] == etag
    change(database, "UPDATE alerts SET closed = 1 WHERE kind = 'floor'")
    second = client.get("/")
    assert second.headers["etag"] != etag
    assert "One alert is open" in second.text


def test_a_database_that_is_locked_gone_or_not_there_yet(database: Path, tmp_path: Path) -> None:
    client = asked(database)
    page = client.get("/").text
    assert client.get("/healthz").json() == {"status": "ok"}
    writer = sqlite3.connect(database, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    writer.execute("DELETE FROM alerts")
    os.utime(database)  # what is as it was is not read again
    assert client.get("/").text == page
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert "is being written" in answer.json()["status"]
    assert samples(client)["readable"] == {(): 0}
    assert samples(client)["windows"] == {("1",): 24, ("2",): 6}
    writer.execute("ROLLBACK")
    writer.close()
    assert client.get("/healthz").json() == {"status": "ok"}
    database.unlink()
    assert client.get("/").text == page
    nothing = asked(tmp_path / "<none>.db")
    answer = nothing.get("/")
    assert answer.status_code == 503
    assert "run the monitor once" in answer.text
    assert "<none>" not in answer.text
    assert samples(nothing) == {"readable": {(): 0}}


def test_prometheus_gets_the_pages_figures(database: Path) -> None:
    client = asked(database)
    assert client.get("/metrics").headers["content-type"] == CONTENT_TYPE
    found = samples(client)
    connection = sqlite3.connect(database)
    of_metrics = connection.execute(
        "SELECT metric, value, high, count FROM metrics WHERE version = '2' AND slice = '{}' "
        "AND window = (SELECT max(window) FROM metrics WHERE version = '2' AND slice = '{}')"
    ).fetchall()
    assert len(of_metrics) > 15
    for name, value, high, count in of_metrics:
        assert found["metric"][name, "", "2"] == value
        assert found["metric_high"][name, "", "2"] == high
        assert found["metric_photographs"][name, "", "2"] == count
    roses = connection.execute(
        "SELECT value FROM metrics WHERE version = '1' AND metric = 'accuracy' AND slice = ? "
        "ORDER BY window DESC",
        ('{"label": "roses"}',),
    ).fetchone()
    assert found["metric"]["accuracy", "label=roses", "1"] == roses[0]
    (alarms,) = connection.execute(
        "SELECT sum(alarm) FROM tests WHERE version = '1' AND window = "
        "(SELECT max(window) FROM tests WHERE version = '1')"
    ).fetchone()
    connection.close()
    assert sum(value for (*_, of), value in found["alarm"].items() if of == "1") == alarms > 0
    assert found["answers_total"] == {("1",): 960, ("2",): 240}
    assert found["alerts"] == {
        ("fall", "acknowledged", "1"): 1,
        ("drift", "muted", "1"): 1,
        ("floor", "open", "1"): 1,
        ("labels_stopped", "open", "1"): 1,
        ("no_traffic", "closed", "1"): 1,
    }
    last = datetime.datetime.fromtimestamp(START + 30 * DAY - DAY / 40, datetime.UTC)
    assert found["last_answer_timestamp_seconds"][("2",)] == last.timestamp()
    assert found["unlabelled_share"][("2",)] == 1
    quantiles = ("0.5", "0.9", "1")
    delays = {(quantile, version) for quantile in quantiles for version in "12"}
    assert set(found["label_delay_seconds"]) == delays


def test_who_may_ask(database: Path) -> None:
    client = asked(database)
    # A site that a browser here visits, under a name of its own that leads here.
    assert client.get("/", headers={"Host": "elsewhere.example"}).status_code == 400
    headers = client.get("/").headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert "unsafe-inline" not in policy["script-src"]
    open_app = application(Latest(database, "flowers"), only_here=False)
    others: Any = TestClient(open_app, base_url="http://monitor.example")
    assert others.get("/healthz").status_code == 200
    assert others.post("/").status_code == 405


def test_a_port_that_is_taken_gets_one_line(database: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"port {port}: .* in use; give another"):
            serve(database, port=port)
