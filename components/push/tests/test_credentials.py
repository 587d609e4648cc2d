"""How a door reaches its server."""

import ssl
from pathlib import Path

import certifi
import httpx
import pytest

from components.push.doors.credentials import check_known, headers_for, http_options
from darkroom.errors import SettingsError


def test_ones_own_certificates_hold_on_this_machine_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Path(certifi.where()).read_text().split("-----END CERTIFICATE-----")[0]
    (tmp_path / "ca.pem").write_text(f"{first}-----END CERTIFICATE-----\n")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    options = http_options("https://127.0.0.1:8501/v1/models/flowers")
    assert options["trust_env"] is False
    assert isinstance(options["verify"], ssl.SSLContext)
    assert len(options["verify"].get_ca_certs()) == 1
    with httpx.Client(**options):
        pass
    assert http_options("http://10.0.0.1/v1/models/flowers") == {"trust_env": True}


def test_certificates_that_cannot_be_read_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/none.pem")
    with pytest.raises(SettingsError, match=r"SSL_CERT_FILE /none\.pem cannot be read: No such"):
        http_options("https://models.example.com/v1/models/flowers")


def test_a_key_may_end_with_a_line_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_API_KEY", "first-key\n")
    assert headers_for("http://10.0.0.1/v1/models/flowers") == {"Authorization": "Bearer first-key"}


def test_a_server_that_does_not_know_the_key_is_no_disagreement() -> None:
    check_known("REST http://10.0.0.1/v1/models/flowers", 503)
    with pytest.raises(SettingsError, match="set DARKROOM_API_KEY to it"):
        check_known("REST http://10.0.0.1/v1/models/flowers", 401)
