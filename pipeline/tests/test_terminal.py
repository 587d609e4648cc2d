"""Texts from outside, as a terminal shows them."""

import pytest

from pipeline.cli.terminal import one_line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rose\n.jpg", "rose\\n.jpg"),
        ("\x1b[2J.jpg", "\\x1b[2J.jpg"),
        ("\u2028", "\\u2028"),
        ("\ud800", "\\ud800"),
        ("Röschen 7", "Röschen 7"),
    ],
)
def test_controls_are_written_out(text: str, expected: str) -> None:
    assert one_line(text) == expected
