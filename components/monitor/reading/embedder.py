"""The embeddings of photographs, by the signature of the version that answered."""

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from darkroom.artifacts.model import EMBEDDING
from darkroom.storage.folders import read_folder

Floats = npt.NDArray[np.float32]
_BATCH = 32


def embedded(
    photographs: Iterable[tuple[str, str, bytes]],
    models: Mapping[str, str],
    problems: Counter[str],
) -> Iterator[tuple[str, str, Floats]]:
    """Computes embeddings; TensorFlow is loaded once there is a photograph.

    Args:
        photographs: The version, the photograph's `image_id` and its file.
        models: Path or URI of the folder of each version.
        problems: Counts what is wrong, by reason.

    Yields:
        The version, the photograph's `image_id` and its embedding, float32 [D].
    """
    with contextlib.ExitStack() as copies:
        signatures: dict[str, Any] = {}
        waiting: dict[str, list[tuple[str, bytes]]] = {}
        for version, image_id, image in photographs:
            batch = waiting.setdefault(version, [])
            batch.append((image_id, image))
            if len(batch) == _BATCH:
                if version not in signatures:
                    signatures[version] = _signature(version, models[version], copies, problems)
                yield from _of_batch(signatures[version], version, batch, problems)
                waiting[version] = []
        for version, batch in waiting.items():
            if batch and version not in signatures:
                signatures[version] = _signature(version, models[version], copies, problems)
            yield from _of_batch(signatures.get(version), version, batch, problems)


def _signature(
    version: str, folder: str, copies: contextlib.ExitStack, problems: Counter[str]
) -> Any:
    """The signature; None where the version cannot be loaded any more, which is counted."""
    try:
        from darkroom.artifacts.saved_model import load_saved_model

        # TensorFlow may read files of a model long after it was loaded.
        local = copies.enter_context(read_folder(folder))
        return load_saved_model(local).signatures[EMBEDDING]
    except Exception as error:  # whatever TensorFlow raises, where it is there at all
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        problems[f"version {version} gives no embeddings: {reason}"] += 1
        return None


def _of_batch(
    signature: Any, version: str, batch: Sequence[tuple[str, bytes]], problems: Counter[str]
) -> Iterator[tuple[str, str, Floats]]:
    if signature is None or not batch:
        return
    import tensorflow as tf

    try:
        found = signature(image_bytes=tf.constant([image for _, image in batch]))[EMBEDDING].numpy()
    except tf.errors.OpError:
        if len(batch) == 1:
            problems["a photograph that has no embedding (its answer counts)"] += 1
        else:
            # One is no image: the others have theirs.
            for each in batch:
                yield from _of_batch(signature, version, [each], problems)
        return
    for (image_id, _), row in zip(batch, found.reshape(len(batch), -1), strict=True):
        yield version, image_id, row.astype(np.float32)
