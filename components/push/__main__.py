"""`python -m components.push`: the push step from a shell."""

from components.push.push import push
from darkroom.runtime.cli import step_command

if __name__ == "__main__":
    step_command(push)
