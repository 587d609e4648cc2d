"""`python -m components.train.tuning`: the tune step from a shell."""

from components.train.tuning.tune import tune
from darkroom.runtime.cli import step_command

if __name__ == "__main__":
    step_command(tune)
