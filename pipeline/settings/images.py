"""Images by digest: what a build says of the images that it pushed."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path

from darkroom.errors import SettingsError

_DIGEST, _NAME = "containerimage.digest", "image.name"


@functools.cache
def pushed_images(file: Path) -> Mapping[str, tuple[str, str]]:
    """Reads what `docker buildx bake --push --metadata-file FILE` wrote.

    Args:
        file: The file: a JSON object with the digest and the name of every component's image.

    Returns:
        Repository and digest by component, such as
        `{"train": ("registry.example/darkroom-train", "sha256:...")}`.

    Raises:
        SettingsError: The file does not exist, or is no such file.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        entries = {name: entry for name, entry in document.items() if _DIGEST in entry}
        # Several names of one image are listed with commas.
        images = {
            name: (_repository(entry[_NAME].split(",")[0]), entry[_DIGEST])
            for name, entry in entries.items()
            if entry.get(_NAME)
        }
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, TypeError, AttributeError):
        reason = "it is no JSON that `docker buildx bake --metadata-file` wrote"
    else:
        if images:
            return images
        reason = "it names no image that was pushed: build with `docker buildx bake --push`"
    raise SettingsError(f"cluster.images_file {file}: {reason}") from None


def _repository(name: str) -> str:
    """An image's name without its tag or digest; a registry's port is no tag."""
    name = name.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]
