"""A SavedModel in this process, loaded once for all shards that it works on."""

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Self

from components.predict.models.model import (
    Facts,
    Outputs,
    TooLargeError,
    UnreadableError,
    signatures_to_ask,
)
from darkroom.artifacts.manifest import MANIFEST, folder_digest, parse_manifest
from darkroom.artifacts.model import (
    IMAGE_BYTES,
    KIND,
    LABELS_FILE,
    SIGNATURE_OUTPUTS,
    WITH_EMBEDDING,
)
from darkroom.artifacts.model_repository import is_complete, is_version_name, serving_version
from darkroom.artifacts.saved_model import graph_reason, load_saved_model
from darkroom.errors import SettingsError, StepError
from darkroom.runtime.allocator import keep_freed_memory
from darkroom.storage import files
from darkroom.storage.folders import read_folder


@dataclasses.dataclass(frozen=True)
class LocalModel:
    """Where a SavedModel is, and what is asked of it.

    Attributes:
        folder: Path or URI of the SavedModel directory.
        facts: What its files say of it.
        embedding: Whether its embeddings are asked for.
        parallel: How many batches it is asked about at a time.
    """

    folder: str
    facts: Facts
    embedding: bool
    parallel: int = 2  # a core that one batch leaves idle works on the next

    def ask(self, images: Sequence[bytes]) -> Outputs:
        """Asks the model; see `Model`."""
        return _loaded(self).ask(images)

    def check(self) -> None:
        """Nothing: the model in memory stays the same."""

    def with_version(self, pushed: Mapping[str, Any]) -> Self:
        """The model as the version that it was pushed as.

        Args:
            pushed: The manifest of what push wrote.
        """
        facts = self.facts._replace(version=pushed["version"])
        return dataclasses.replace(self, facts=facts)


def find_model(location: str, embedding: bool) -> LocalModel:
    """Finds a model, or the version that serves.

    Args:
        location: Path or URI of a model, or of a folder of numbered versions.
        embedding: Whether its embeddings are asked for.

    Raises:
        SettingsError: There is none.
    """
    location = location.rstrip("/") or location
    folder = location
    if not is_complete(location):
        version = serving_version(location)
        if version is None:
            raise SettingsError(
                f"there is no model at {location}: give a model's folder, or that of its versions"
            )
        folder = version.location
    name = folder.rpartition("/")[2]
    number = int(name) if is_version_name(name) else None
    return LocalModel(folder, Facts(_labels(folder), _digest(folder), number), embedding)


def _labels(folder: str) -> tuple[str, ...]:
    """The labels, a line each; none of a model that another program made."""
    with files.clear_errors(f"cannot read {folder}/{LABELS_FILE}", StepError):
        text = (_read(folder, LABELS_FILE) or b"").decode("utf-8")
    # Not `splitlines`: a label may hold what Unicode counts among line breaks.
    return tuple(line.removesuffix("\r") for line in text.split("\n") if line)


def _digest(folder: str) -> str:
    """The digest that the manifest says, or of all files of a model without one."""
    manifest = _read(folder, MANIFEST)
    if manifest is not None:
        digest = parse_manifest(manifest, folder, KIND).get("digest")
        if isinstance(digest, str):
            return digest
    with files.clear_errors(f"cannot read {folder}", StepError), read_folder(folder) as local:
        return folder_digest(local)


def _read(folder: str, name: str) -> bytes | None:
    """The content of a file of a model; None where there is none."""
    location = f"{folder}/{name}"
    with files.clear_errors(f"cannot read {location}", StepError):
        if files.size(location) is None:
            return None
        with files.opened(location) as file:
            return file.read()


class _Loaded:
    """A SavedModel in memory.

    Raises:
        StepError: It has no such signature, or does not load.
    """

    def __init__(self, model: LocalModel) -> None:
        keep_freed_memory()
        with read_folder(model.folder) as local:
            try:
                self._saved_model = load_saved_model(local)
            except Exception as error:  # whatever TensorFlow raises for one that is broken
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise StepError(f"the model {model.folder} does not load: {reason}") from error
        has = self._saved_model.signatures
        names = signatures_to_ask(model.embedding, WITH_EMBEDDING in has)
        for name in names:
            _check_signature(name, has.get(name), model.folder)
        self._signatures = [has[name] for name in names]

    def ask(self, images: Sequence[bytes]) -> Outputs:
        import tensorflow as tf

        image_bytes = tf.constant(list(images))
        outputs: dict[str, Any] = {}
        try:
            for signature in self._signatures:
                outputs |= signature(image_bytes=image_bytes)
        except tf.errors.InvalidArgumentError as error:
            raise UnreadableError(graph_reason(str(error.message)) or "no image") from None
        except tf.errors.ResourceExhaustedError as error:
            raise TooLargeError(graph_reason(str(error.message)) or "no memory") from None
        except tf.errors.OpError as error:
            reason = graph_reason(str(error.message)) or type(error).__name__
            raise StepError(f"the model fails: {reason}") from error
        return {name: tensor.numpy() for name, tensor in outputs.items()}


def _check_signature(name: str, signature: Any, folder: str) -> None:
    """Checks that a signature is there, and is ours: another program's may have the same name."""
    if signature is None:
        raise StepError(f"the model {folder} has no signature '{name}'")
    taken = set(signature.structured_input_signature[1])
    if taken != {IMAGE_BYTES}:
        raise StepError(
            f"signature '{name}' of the model {folder} takes {', '.join(sorted(taken))}, "
            f"not {IMAGE_BYTES} alone"
        )
    if missing := SIGNATURE_OUTPUTS[name] - set(signature.structured_outputs):
        raise StepError(f"signature '{name}' of the model {folder} gives no '{min(missing)}'")


_held: dict[tuple[str, str, bool], _Loaded] = {}
_holding = threading.Lock()


def _loaded(model: LocalModel) -> _Loaded:
    """The model in memory, one a process for all threads; a folder may hold another by now."""
    key = (model.folder, model.facts.digest, model.embedding)
    with _holding:
        if key not in _held:
            _held.clear()
            _held[key] = _Loaded(model)
        return _held[key]


def check_signatures(model: LocalModel) -> None:
    """Loads the model, so that what is wrong with it is said before any work begins.

    Raises:
        StepError: It has no such signature, or does not load.
    """
    _loaded(model)
