"""The memory that JSON takes once it is parsed, which may be twenty times that of its bytes."""

from components.serve.errors import RequestError

_MOST_LISTS = 8_000_000
"""Lists and objects of a body: as many pixels as fit in 100 MB, each a list of three numbers."""


def check_json_size(body: bytes) -> None:
    """Checks, before a body is parsed, how many lists and objects it holds.

    Raises:
        RequestError: There are too many (413).
    """
    if body.count(b"[") + body.count(b"{") > _MOST_LISTS:
        raise RequestError(
            f"the body holds more than {_MOST_LISTS:,} lists and objects: send fewer", status=413
        )
