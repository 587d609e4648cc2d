"""Errors meant for the person who runs the pipeline: one clear line, with the fix in it."""


class DarkroomError(Exception):
    """A failure whose message says what is wrong and what to do, so no traceback is shown.

    Attributes:
        exit_code: What the process that shows it exits with.
    """

    exit_code = 1


class SettingsError(DarkroomError):
    """Settings or arguments that cannot be used; nothing has been run."""

    exit_code = 2


class StepError(DarkroomError):
    """A step that cannot finish: bad data, a missing artifact, a refused push."""
