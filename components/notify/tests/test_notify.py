"""Who is told, and what: real servers take the messages, and none of them can fail a run."""

from pathlib import Path
from typing import Any

import pytest

from components.notify.messages import outcome_message
from components.notify.notify import notify, report
from components.notify.outcome import Outcome, run_page
from components.notify.settings import NotifySettings
from darkroom.artifacts.manifest import read_manifest, write_manifest
from darkroom.channels.message import slack_message
from darkroom.channels.tests.servers import MailServer, WebServer
from darkroom.errors import SettingsError
from darkroom.settings import validate_settings

FAILED_AT_LENGTH = Outcome("flowers", "failed", "x" * 10_000)
FAILED = Outcome("flowers", "failed", "train ran out of <memory> & time", "https://cluster/runs/7")


def settings(**values: Any) -> NotifySettings:
    return validate_settings(NotifySettings, values, "notify")


def email_settings(server: MailServer, **values: Any) -> dict[str, Any]:
    host, port = server.server_address[:2]
    address = {"server": host, "port": port, "security": "none"}
    return {**address, "sender": "darkroom@example.org", "to": ["ann@example.org"], **values}


def test_a_webhook_gets_all_that_is_known(web: WebServer) -> None:
    outcome = Outcome("flowers", "succeeded", metrics={"accuracy": 0.93}, report="gs://b/report")
    assert report(outcome, settings(webhook="HOOK")) == {"webhook": "sent"}
    (message,) = web.messages
    assert message["text"] == "flowers: succeeded"
    assert message["metrics"] == {"accuracy": 0.93}
    assert (message["result"], message["report"]) == ("succeeded", "gs://b/report")


def test_slack_gets_its_own_format(web: WebServer) -> None:
    assert report(FAILED, settings(slack="HOOK")) == {"slack": "sent"}
    (message,) = web.messages
    header, section = message["blocks"]
    assert header["text"] == {"type": "plain_text", "text": "flowers: failed"}
    assert section["text"]["text"].splitlines() == [
        "*error*: train ran out of &lt;memory&gt; &amp; time",
        "*run*: <https://cluster/runs/7>",
    ]


def test_slack_takes_no_more_than_so_many_characters() -> None:
    _, section = slack_message(outcome_message(FAILED_AT_LENGTH))["blocks"]
    assert len(section["text"]["text"]) == 3000


def test_an_email_is_sent_as_the_account(mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "s3cret")
    to = ["ann@example.org", "ben@example.org"]
    account = email_settings(mail, to=to, user="robot", password="MAIL_PASSWORD")
    assert report(FAILED, settings(email=account)) == {"email": "sent"}
    (message,) = mail.mails
    assert message["Subject"] == "[darkroom] flowers: failed"
    assert "error: train ran out of <memory> & time" in message.get_payload()
    assert mail.receivers == to
    assert mail.login == "\0robot\0s3cret"


def test_a_busy_server_is_asked_again(web: WebServer) -> None:
    web.statuses = [503, 429, 200]
    assert report(FAILED, settings(webhook="HOOK")) == {"webhook": "sent"}
    assert len(web.messages) == 3


@pytest.mark.slow
def test_one_that_cannot_be_told_keeps_no_other_from_it(
    web: WebServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWAY", "http://127.0.0.1:1/T0KEN")
    web.statuses = [404]
    lost = {"server": "127.0.0.1", "port": 1, "sender": "a@b", "to": ["c@d"]}
    sent = report(FAILED, settings(webhook="AWAY", slack="HOOK", email=lost))
    assert sent["webhook"] == "no answer (ConnectionRefusedError)"
    assert sent["slack"] == "refused with 404 Not Found"
    assert "Connection refused" in sent["email"]
    assert report(FAILED, settings(slack="UNSET")) == {
        "slack": "the environment variable UNSET is not set"
    }
    monkeypatch.setenv("NO_ADDRESS", "T0KEN")
    assert report(FAILED, settings(slack="NO_ADDRESS")) == {"slack": "no answer (ValueError)"}
    assert "T0KEN" not in caplog.text


def test_only_the_ends_asked_for_are_reported(web: WebServer) -> None:
    only_failures = settings(webhook="HOOK", when=["failed", "not_blessed"])
    assert report(Outcome("flowers", "succeeded"), only_failures) == {}
    assert report(Outcome("flowers", "not_blessed"), only_failures) == {"webhook": "sent"}
    assert len(web.messages) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"slack": "https://hooks.slack.com/services/T0KEN"}, "expected where the secret is, not"),
        ({"webhok": "HOOK"}, "unknown setting 'notify.webhok'; did you mean 'webhook'?"),
        ({"when": ["failure"]}, "setting 'notify.when.0'"),
        ({"email": {"server": "x", "sender": "a@b", "to": []}}, "setting 'notify.email.to'"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        settings(**values)
    assert message in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "result"),
    [
        ("SUCCEEDED", "succeeded"),
        ("COMPLETE", "succeeded"),
        ("FAILED", "failed"),
        ("CANCELLED", "cancelled"),
        ("RUNNING", "failed"),
    ],
)
def test_a_step_says_what_the_cluster_says(state: str, result: str, tmp_path: Path) -> None:
    notified = tmp_path / "notify_1" / "notified"
    notified.parent.mkdir()
    assert notify("flowers", state, "", "", "", "", settings(), notified=notified) == result
    assert read_manifest(notified, "notified")["outcome"]["result"] == result


def test_a_step_finds_what_the_others_wrote(tmp_path: Path) -> None:
    for retried, reasons in (("evaluate_1", ["too early"]), ("evaluate_2", ["accuracy 0.7"])):
        evaluation = tmp_path / retried / "evaluation"
        evaluation.mkdir(parents=True)
        (tmp_path / retried / "report").write_text("<html>")
        content = {"labels": [], "count": 3, "metrics": {"accuracy": 0.7}, "blessed": False}
        write_manifest(evaluation, "evaluation", content | {"reasons": reasons})
    notified = tmp_path / "notify_3" / "notified"
    notified.parent.mkdir()
    run = ("f", "SUCCEEDED", "", "f-run", "71", "https://kubeflow/pipeline/")
    assert notify(*run, settings(), notified=notified) == "not_blessed"
    outcome = read_manifest(notified, "notified")["outcome"]
    assert outcome["reasons"] == ["accuracy 0.7"]
    assert outcome["metrics"] == {"accuracy": 0.7}
    assert outcome["report"] == str(tmp_path / "evaluate_2" / "report")
    assert outcome["page"] == "https://kubeflow/pipeline/#/runs/details/71"


def test_vertex_says_where_its_page_is() -> None:
    run = "projects/12/locations/europe-west4/pipelineJobs/flowers-7"
    address = run_page(run, "4711", "https://kubeflow")
    assert address.endswith("/locations/europe-west4/pipelines/runs/flowers-7?project=12")
    assert run_page("flowers-7") == ""
