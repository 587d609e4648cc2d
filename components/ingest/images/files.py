"""The bytes of a photograph, by local path or by URI."""

from pathlib import Path

from components.ingest.rejection import Reason, RejectedError
from darkroom.storage.files import cause, read_bytes
from darkroom.storage.paths import is_uri


def read_file(location: str) -> bytes:
    """The bytes at a path or URI.

    Raises:
        RejectedError: There is no such file, or it cannot be read.
    """
    try:
        return read_bytes(location) if is_uri(location) else Path(location).read_bytes()
    except FileNotFoundError:
        raise RejectedError(Reason.MISSING_FILE, "no such file") from None
    except (OSError, ValueError) as error:
        raise RejectedError(Reason.UNREADABLE_FILE, str(error)) from None
    except Exception as error:
        # Every store's client has exceptions of its own, of no common type.
        raise RejectedError(Reason.UNREADABLE_FILE, cause(error)) from None
