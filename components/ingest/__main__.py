"""`python -m components.ingest`: the ingest step from a shell."""

from components.artifacts.command import step_command
from components.ingest.ingest import ingest

if __name__ == "__main__":
    step_command(ingest)
