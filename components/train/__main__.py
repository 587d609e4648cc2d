"""`python -m components.train`: the train step from a shell."""

from components.train.train import train
from darkroom.runtime.cli import step_command

if __name__ == "__main__":
    step_command(train)
