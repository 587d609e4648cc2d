"""Files by local path, or by URI through Beam's file systems."""

from pathlib import Path

from components.ingest.rejection import Reason, RejectedError


def read_file(location: str) -> bytes:
    """The bytes at a path or URI.

    Raises:
        RejectedError: There is no such file, or it cannot be read.
    """
    try:
        if "://" not in location:
            return Path(location).read_bytes()
        return _read_uri(location)
    except FileNotFoundError:
        raise RejectedError(Reason.MISSING_FILE, "no such file") from None
    except (OSError, ValueError) as error:
        raise RejectedError(Reason.UNREADABLE_FILE, str(error)) from None


def _read_uri(uri: str) -> bytes:
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    try:
        with FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            data: bytes = file.read()
            return data
    except Exception as error:
        # Every store's client has exceptions of its own, of no common type.
        if isinstance(error, FileNotFoundError) or getattr(error, "code", None) == 404:
            raise FileNotFoundError(uri) from None
        raise OSError(str(error)) from None
