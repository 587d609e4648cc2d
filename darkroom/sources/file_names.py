"""What a file's name says: a photograph, what other tools put beside one, or a system's own."""

import re

_IMAGE_NAME = re.compile(
    r"\.(jpe?g?|jfif|png|apng|gif|bmp|dib|webp|tiff?|avif|hei[cf]|jp2|j2k|jpx|ico|tga|dds|p[bgpn]m)$",
    re.IGNORECASE,
)
_SIDE_NAME = re.compile(
    r"\.(txt|jsonl?|xml|csv|tsv|ya?ml|md|html?|pdf|log|ini|db|xmp|aae|npy|npz|parquet|tfrecord"
    r"|zip|tar|t?gz|mov|mp4|m4v|avi|mkv|3gp|wav|mp3|py|ipynb)$",
    re.IGNORECASE,
)
"""What other tools put beside photographs: captions, sidecars, films, indexes."""
_LEFT_BY_SYSTEMS = frozenset(
    {
        "Thumbs.db",
        "desktop.ini",
        "@eaDir",
        "#recycle",
        "__MACOSX",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
    }
)


def is_photograph(name: str) -> bool:
    """Whether a file is a photograph by its name."""
    return _IMAGE_NAME.search(name) is not None


def is_side_file(name: str) -> bool:
    """Whether a file is surely none by its name: a caption, a film, an index."""
    return _SIDE_NAME.search(name) is not None


def is_left_by_systems(name: str) -> bool:
    """Whether an object of a bucket is no file of the user's, by its name within the folder."""
    # Some clients store a folder as an empty object with a slash at its end.
    return name.endswith("/") or any(map(is_hidden, name.split("/")))


def is_hidden(name: str) -> bool:
    """Whether a system left a file behind, which makes it no row of the user's."""
    return name.startswith(".") or name in _LEFT_BY_SYSTEMS
