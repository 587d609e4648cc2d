"""One line in a terminal that says how far the training is; nothing in a log."""

import sys


class ProgressLine:
    """A line that overwrites itself.

    Args:
        shown: Whether this process shows it, if standard error is a terminal.
    """

    def __init__(self, shown: bool = True) -> None:
        self._shown = shown and sys.stderr.isatty()
        self._width = 0

    def show(self, text: str) -> None:
        """Puts text in the place of the text before."""
        if self._shown:
            sys.stderr.write(f"\r[train] {text:<{self._width}}")
            sys.stderr.flush()
            self._width = len(text)

    def clear(self) -> None:
        """Empties the line, for other lines to come."""
        if self._shown and self._width:
            sys.stderr.write(f"\r{' ' * (self._width + 8)}\r")
            sys.stderr.flush()
            self._width = 0
