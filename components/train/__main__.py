"""`python -m components.train`: the train step from a shell."""

from components.artifacts.command import step_command
from components.train.train import train

if __name__ == "__main__":
    step_command(train)
