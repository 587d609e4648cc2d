"""`python -m components.explain`: the explain step from a shell."""

from components.explain.explain import explain
from darkroom.runtime.cli import step_command

if __name__ == "__main__":
    step_command(explain)
