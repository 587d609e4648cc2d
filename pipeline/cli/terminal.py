"""Texts from outside, as a terminal may show them."""

import re

_CONTROLS = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")


def one_line(text: object) -> str:
    r"""A text as one line of a terminal: a file's name may hold a line break, or move the cursor.

    >>> one_line("rose\n.jpg")
    'rose\\n.jpg'
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))
