"""What Vertex refuses comes out as one line that says what to do."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from darkroom.errors import StepError
from darkroom.tests.google_account import Keys
from pipeline.settings.cluster import VertexSettings
from pipeline.target import TransientError
from pipeline.targets.vertex import api
from pipeline.targets.vertex.client import Vertex
from pipeline.targets.vertex.errors import explained
from pipeline.tests.test_vertex import submitted

if TYPE_CHECKING:
    from pipeline.tests.vertex_server import VertexServer

DENIED, INVALID = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT
REFUSALS = {
    "no role": (
        DENIED,
        "Permission 'aiplatform.pipelineJobs.create' denied on resource "
        "'//aiplatform.googleapis.com/projects/my-project/locations/europe-west4' (or it may not "
        "exist).",
        "IAM_PERMISSION_DENIED",
        "aiplatform.pipelineJobs.create.* the role that is missing: roles/aiplatform.user on the "
        "project my-project$",
    ),
    "no key": (
        DENIED,
        "Vertex AI Service Agent service-123@gcp-sa-aiplatform.iam.gserviceaccount.com does not "
        "have permission cloudkms.cryptoKeyVersions.useToEncrypt on the key.",
        "",
        "roles/cloudkms.cryptoKeyEncrypterDecrypter on the key, for "
        "service-123@gcp-sa-aiplatform.iam.gserviceaccount.com$",
    ),
    "api off": (
        DENIED,
        "Vertex AI API has not been used in project my-project before or it is disabled.",
        "SERVICE_DISABLED",
        "gcloud services enable aiplatform.googleapis.com --project my-project",
    ),
    "no bucket": (
        INVALID,
        "The Cloud Storage bucket gs://my-bucket does not exist.",
        "",
        "make the bucket, in the region of the runs, or set cluster.vertex.pipeline_root$",
    ),
    "other": (
        INVALID,
        "List of found errors:\t1.Field: cron; Message: Odd.\t",
        "",
        "Message: Odd$",
    ),
}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PATIENCE_SECONDS", 4.0)


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refusal_names_the_fix(vertex: Vertex, vertex_server: VertexServer, case: str) -> None:
    code, message, reason, expected = REFUSALS[case]
    vertex_server.refuse("CreatePipelineJob", code, message, reason=reason)

    with pytest.raises(StepError, match=expected) as raised:
        submitted(vertex)

    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1
    assert vertex_server.calls["CreatePipelineJob"] == 1, "a refusal is not asked again"


def test_a_project_that_is_not_ours(vertex_settings: VertexSettings) -> None:
    elsewhere = Vertex(vertex_settings.model_copy(update={"project": "elsewhere"}))

    with pytest.raises(StepError, match=r"check the setting cluster.vertex.project \(elsewhere\)"):
        submitted(elsewhere)


def test_an_account_that_we_may_not_be(vertex_settings: VertexSettings) -> None:
    other = "boss@my-project.iam.gserviceaccount.com"
    vertex = Vertex(vertex_settings.model_copy(update={"service_account": other}))

    with pytest.raises(
        StepError, match=f"roles/iam.serviceAccountUser on the service account {other}$"
    ):
        submitted(vertex)


@pytest.mark.usefixtures("impatient")
def test_a_quota_that_stays_used_up(vertex: Vertex, vertex_server: VertexServer) -> None:
    message = "Quota exceeded for aiplatform.googleapis.com/pipeline_job_create_requests."
    vertex_server.refuse(
        "CreatePipelineJob", grpc.StatusCode.RESOURCE_EXHAUSTED, message, times=100
    )

    with pytest.raises(TransientError, match=r"pipeline_job_create_requests; .*/iam-admin/quotas"):
        submitted(vertex)

    assert 1 < vertex_server.calls["CreatePipelineJob"] < 100
    assert not vertex_server.jobs


@pytest.mark.usefixtures("impatient")
def test_a_server_that_stays_away(vertex: Vertex, vertex_server: VertexServer) -> None:
    vertex_server.stop()

    with pytest.raises(TransientError, match=f"does not answer at {vertex_server.endpoint}: "):
        submitted(vertex)


def test_a_region_that_does_not_exist_is_not_waited_for(vertex_settings: VertexSettings) -> None:
    nowhere = vertex_settings.model_copy(update={"endpoint": "mars-aiplatform.invalid"})
    started = time.monotonic()

    with pytest.raises(TransientError, match=r"check the network and the setting .*location"):
        Vertex(nowhere).runs("digits", 1)

    assert time.monotonic() - started < api.PATIENCE_SECONDS / 2


def test_a_token_that_is_not_taken(
    vertex: Vertex, vertex_server: VertexServer, tls_keys: Keys, tmp_path: Path
) -> None:
    file = tmp_path / "account.json"
    account = json.loads(file.read_text())
    file.write_text(json.dumps({**account, "private_key": tls_keys.key.decode()}))

    with pytest.raises(StepError, match=r"expired or not taken .*gcloud auth application-default"):
        submitted(vertex)

    assert vertex_server.calls["CreatePipelineJob"] == 1


def test_no_credentials(
    vertex_settings: VertexSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))

    with pytest.raises(StepError, match="no Google Cloud credentials are here"):
        Vertex(vertex_settings).runs("digits", 1)


def test_a_login_that_has_expired(
    vertex_settings: VertexSettings, vertex_server: VertexServer, revoking: str, login: Path
) -> None:
    login.write_text(login.read_text().replace("TOKENS", revoking))
    started = time.monotonic()

    with pytest.raises(StepError, match=r"expired or revoked\).*gcloud auth application-default"):
        Vertex(vertex_settings).runs("digits", 1)

    assert not vertex_server.calls
    assert time.monotonic() - started < api.PATIENCE_SECONDS / 2, "another try would not help"


def test_a_login_that_cannot_be_refreshed_for_now(
    vertex_settings: VertexSettings, login: Path
) -> None:
    login.write_text(login.read_text().replace("TOKENS", "http://localhost:1/token"))

    with pytest.raises(TransientError, match=r"no token is to be had .*; check the network$"):
        Vertex(vertex_settings).runs("digits", 1)


@pytest.fixture
def login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's login, refreshed at TOKENS, in place of the account's key."""
    values = {
        "type": "external_account_authorized_user",
        "audience": "//iam.googleapis.com/locations/global/workforcePools/p/providers/q",
        "refresh_token": "once",
        "token_url": "TOKENS",
        "token_info_url": "TOKENS",
        "client_id": "id",
        "client_secret": "secret",
    }
    file = tmp_path / "login.json"
    file.write_text(json.dumps(values))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    return file


@pytest.fixture
def revoking() -> Iterator[str]:
    """The address of a service that refreshes no token."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = b'{"error": "invalid_grant", "error_description": "expired or revoked"}'
            self.send_response(400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("localhost", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_port}/token"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", ""),
        (
            "PermissionError: denied to steps@p.iam.gserviceaccount.com",
            "denied to steps@p.iam.gserviceaccount.com",
        ),
        ("PermissionError: [Errno 13] Permission denied: '/data'", "denied: '/data'"),
        ("The replica workerpool0-0 exited with a non-zero status of 1.", "status of 1"),
        (
            "Failed to pull image 'europe-docker.pkg.dev/p/darkroom-train:0.1.0': not found.",
            "push the image, and check the settings cluster.registry, tag and images",
        ),
        (
            "Failed to create pipeline job. Error: Permission 'aiplatform.metadataStores.get' "
            "denied on resource '//aiplatform.googleapis.com/projects/p'.",
            "roles/aiplatform.user on the project p",
        ),
    ],
)
def test_why_a_run_failed(message: str, expected: str) -> None:
    assert explained(message, "p").endswith(expected)
