"""A watched model that several files of tests look at."""

from pathlib import Path

import pytest

from components.monitor.tests.watched_world import add_events, watched
from darkroom.channels.tests.servers import mail, web  # noqa: F401


@pytest.fixture(scope="session")
def month(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of thirty days with a change, two versions, alerts and a retraining."""
    database = watched(tmp_path_factory.mktemp("month"), photographs=40)
    add_events(database)
    return database
