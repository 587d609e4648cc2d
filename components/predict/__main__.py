"""`python -m components.predict`: the predict step from a shell."""

from components.predict.predict import predict
from darkroom.runtime.cli import step_command

if __name__ == "__main__":
    step_command(predict)
