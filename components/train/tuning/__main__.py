"""`python -m components.train.tuning`: the tune step from a shell."""

from components.artifacts.command import step_command
from components.train.tuning.tune import tune

if __name__ == "__main__":
    step_command(tune)
