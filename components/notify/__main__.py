"""`python -m components.notify`: the notify step from a shell."""

from components.artifacts.command import step_command
from components.notify.notify import notify

if __name__ == "__main__":
    step_command(notify)
