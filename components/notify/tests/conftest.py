"""Servers that tests tell."""

from darkroom.channels.tests.servers import mail, web  # noqa: F401
