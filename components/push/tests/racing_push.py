"""Pushes a model as often as it is told to; run by several processes at once.

Usage: python -m components.push.tests.racing_push DESTINATION MODEL START [no-rename]
"""

import errno
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from components.push.targets.repository import RepositoryTarget
from darkroom.artifacts.model import read_model


def refuse_to_rename_folders() -> None:
    """Makes this process see a file system as gcsfuse is."""
    rename = os.rename

    def refusing(source: Any, target: Any, **options: Any) -> None:
        if Path(source).is_dir():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(source))
        rename(source, target, **options)

    def no_links(source: Any, target: Any, **_: Any) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(source))

    os.rename = refusing  # type: ignore[assignment]
    os.link = no_links  # type: ignore[assignment]


def main(destination: str, folder: str, start: str, *options: str) -> None:
    """Waits for the common start, pushes, and prints the version's number."""
    if options:
        refuse_to_rename_folders()
    model = read_model(Path(folder))
    while time.time() < float(start):
        time.sleep(0.0005)
    published = RepositoryTarget(destination).publish(model)
    print(json.dumps({"number": published.number, "digest": published.digest}))


if __name__ == "__main__":
    main(*sys.argv[1:])
