"""`python -m components.monitor`: the monitor step from a shell."""

from components.monitor.job import monitor
from darkroom.runtime.cli import step_command

if __name__ == "__main__":
    step_command(monitor)
