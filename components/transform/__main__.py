"""`python -m components.transform`: the transform step from a shell."""

from components.transform.transform import transform
from darkroom.runtime.cli import step_command

if __name__ == "__main__":
    step_command(transform)
