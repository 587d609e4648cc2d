"""`python -m components.transform`: the transform step from a shell."""

from components.artifacts.command import step_command
from components.transform.transform import transform

if __name__ == "__main__":
    step_command(transform)
