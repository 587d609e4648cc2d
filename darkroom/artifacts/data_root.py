"""Records that stand in a store: a folder of their own, which the artifact's manifest names.

Kubeflow copies every artifact into the container of a step and out of it. What is too large for
that is written once, where all steps read it, and what passes between them is the manifest.
"""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

from darkroom.artifacts.manifest import MANIFEST
from darkroom.errors import StepError
from darkroom.storage.files import clear_errors, delete_folder, upload
from darkroom.storage.paths import is_uri

RECORDS = "records"
"""The manifest's entry of where the records are; without one they are beside it."""


@contextlib.contextmanager
def records_folder(data_root: str | None, kind: str, artifact: Path) -> Iterator[str]:
    """Gives the folder where the records of an artifact go, which goes if the step fails.

    Once all is well the manifest stands beside the records too: a folder without one is what a
    step left that was killed.

    Args:
        data_root: Path or URI of the folder of all such folders; None leaves
            records in the artifact.
        kind: What the artifact is, such as `examples`.
        artifact: The artifact's folder, which is being written; its manifest is there in the end.

    Yields:
        Its path or URI.

    Raises:
        StepError: The manifest cannot be written there.
    """
    if data_root is None:
        yield str(artifact)
        return
    folder = f"{data_root.rstrip('/')}/{kind}-{uuid.uuid4().hex}"
    try:
        if not is_uri(folder):
            Path(folder).mkdir(parents=True)
        yield folder
        with clear_errors(f"cannot write {folder}", StepError):
            upload([artifact / MANIFEST], folder)
    except BaseException:
        # What is left behind has no manifest; an error here would hide the first one.
        with contextlib.suppress(Exception):
            delete_folder(folder)
        raise
