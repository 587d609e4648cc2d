"""The evaluate step from a shell: `python -m components.evaluate --help`."""

from components.artifacts.command import step_command
from components.evaluate.evaluate import evaluate

if __name__ == "__main__":
    step_command(evaluate)
