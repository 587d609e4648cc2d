"""`python -m components.notify`: the notify step from a shell."""

from components.notify.notify import notify
from darkroom.runtime.cli import step_command

if __name__ == "__main__":
    step_command(notify)
