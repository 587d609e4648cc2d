"""The evaluate step from a shell: `python -m components.evaluate --help`."""

from components.evaluate.evaluate import evaluate
from darkroom.runtime.cli import step_command

if __name__ == "__main__":
    step_command(evaluate)
