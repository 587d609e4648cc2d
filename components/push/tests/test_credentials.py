"""What a door tells its server of who asks."""

import pytest

from components.push.doors.credentials import check_known, headers_for
from darkroom.errors import SettingsError


def test_a_key_may_end_with_a_line_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_API_KEY", "first-key\n")
    assert headers_for("http://10.0.0.1/v1/models/flowers") == {"Authorization": "Bearer first-key"}


def test_a_server_that_does_not_know_the_key_is_no_disagreement() -> None:
    check_known("REST http://10.0.0.1/v1/models/flowers", 503)
    with pytest.raises(SettingsError, match="set DARKROOM_API_KEY to it"):
        check_known("REST http://10.0.0.1/v1/models/flowers", 401)
