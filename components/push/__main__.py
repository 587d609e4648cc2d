"""`python -m components.push`: the push step from a shell."""

from components.artifacts.command import step_command
from components.push.push import push

if __name__ == "__main__":
    step_command(push)
