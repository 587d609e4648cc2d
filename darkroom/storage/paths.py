"""Paths and URIs: which is which, and the folders that clusters mount buckets as."""

from pathlib import Path

_MOUNT = "/gcs/"
"""Where Vertex and Kubeflow mount what a URI with `gs://` names."""
_SCHEME = "gs://"


def is_uri(location: str) -> bool:
    """Whether a location is a URI, such as `gs://bucket/flowers`, and no path of this machine."""
    return "://" in location


def mounted_path(location: str) -> str:
    """The path at which a cluster mounts a bucket's URI; other locations as they are.

    >>> mounted_path("gs://bucket/run/examples")
    '/gcs/bucket/run/examples'
    """
    return _MOUNT + location.removeprefix(_SCHEME) if location.startswith(_SCHEME) else location


def mounted_uri(path: Path | str) -> str | None:
    """The URI of a file or folder below a bucket's mount; None for any other path.

    >>> mounted_uri(Path("/gcs/bucket/run/examples"))
    'gs://bucket/run/examples'
    """
    text = Path(path).as_posix()
    return _SCHEME + text.removeprefix(_MOUNT) if text.startswith(_MOUNT) else None
