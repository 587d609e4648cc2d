"""`python -m components.ingest`: the ingest step from a shell."""

from components.ingest.ingest import ingest
from darkroom.runtime.cli import step_command

if __name__ == "__main__":
    step_command(ingest)
