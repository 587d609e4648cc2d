"""What a pushed version is held against once it serves: the folder `reference` of a version.

    manifest.json     labels, counts, what the embeddings are, and the digest of the other files
    answers.parquet   a random sample of the evaluation's rows, in the order of the photographs'
                      digests: split, image_id, label and given label, probabilities, slice columns
    statistics.json   those of all its photographs, as ingest counted them
    embeddings.npy    float16 [N, D]: of the photographs of the first N rows of the answers

A version's digests and its signature cover them. Versions that an older release pushed have none.
"""

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.artifacts.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    file_digest,
    folder_digest,
    parse_manifest,
)
from darkroom.artifacts.statistics import STATISTICS_FILE, Statistics, parsed_statistics
from darkroom.errors import StepError
from darkroom.storage import files
from darkroom.storage.atomic import write_json

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

FOLDER = "reference"
KIND = "reference"
ANSWERS_FILE = "answers.parquet"
EMBEDDINGS_FILE = "embeddings.npy"
MOST_EMBEDDINGS = 2000
_MOST_ANSWERS = 20_000
_MOST_PROBABILITIES = 4_000_000


@dataclasses.dataclass(frozen=True)
class StoredEmbeddings:
    """What is known of a version's embeddings before they are read.

    Attributes:
        count: Photographs that have one, N.
        size: Numbers of each, D.
        digest: SHA-256 of their file.
    """

    count: int
    size: int
    digest: str


@dataclasses.dataclass(frozen=True)
class VersionReference:
    """What a version is held against.

    Attributes:
        version: Path or URI of the version's folder.
        labels: The model's labels, in the order of the probabilities.
        multi_label: Whether a photograph may have several.
        answers: A row a photograph, as `darkroom.artifacts.predictions` has them, with some of its
            columns.
        statistics: Those of all photographs that the version was made of.
        embeddings: Of the first photographs among the answers; None without any.
    """

    version: str
    labels: tuple[str, ...]
    multi_label: bool
    answers: "pa.Table"
    statistics: Statistics
    embeddings: StoredEmbeddings | None


def most_answers(labels: int) -> int:
    """How many photographs a reference has at most: with very many labels fewer, of some 16 MB.

    >>> most_answers(5), most_answers(1000)
    (20000, 4000)
    """
    return min(_MOST_ANSWERS, max(1, _MOST_PROBABILITIES // labels))


def write_version_reference(
    version: Path,
    labels: Sequence[str],
    multi_label: bool,
    answers: "pa.Table",
    statistics: Statistics,
    embeddings: "npt.NDArray[np.float16] | None",
) -> None:
    """Writes the folder `reference` of a version, before the version's digests.

    Args:
        version: The version's folder.
        labels: The model's labels, in the order of the probabilities.
        multi_label: Whether a photograph may have several.
        answers: The sample, in the order of the photographs' digests.
        statistics: Those of all photographs that the version was made of.
        embeddings: Of the photographs of the first N rows, [N, D]; None if they may not travel.
    """
    import numpy as np
    import pyarrow.parquet as pq

    folder = version / FOLDER
    folder.mkdir()
    pq.write_table(answers, folder / ANSWERS_FILE, compression="zstd")
    write_json(folder / STATISTICS_FILE, statistics.to_json())
    content: dict[str, Any] = {
        "kind": KIND,
        "format_version": FORMAT_VERSION,
        "labels": list(labels),
        "multi_label": multi_label,
        "answers": len(answers),
        "embeddings": None,
    }
    if embeddings is not None and len(embeddings):
        np.save(folder / EMBEDDINGS_FILE, embeddings.astype(np.float16), allow_pickle=False)
        count, size = embeddings.shape
        stored = StoredEmbeddings(count, size, file_digest(folder / EMBEDDINGS_FILE))
        content["embeddings"] = dataclasses.asdict(stored)
    # How it was made is in the version's own manifest.
    write_json(folder / MANIFEST, {**content, "digest": folder_digest(folder)})


def read_version_reference(version: str) -> VersionReference | None:
    """Reads all but the embeddings; None if the version has no reference.

    Args:
        version: Path or URI of the version's folder.

    Raises:
        StepError: It is damaged, of another format, or its store does not answer.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = f"{version}/{FOLDER}"
    with files.clear_errors(f"cannot read {folder}", StepError):
        if not files.exists(f"{folder}/{MANIFEST}"):
            return None
        names = (MANIFEST, ANSWERS_FILE, STATISTICS_FILE)
        contents = files.read_several([f"{folder}/{name}" for name in names])
    manifest = parse_manifest(contents[0], folder, KIND)
    try:
        answers = pq.read_table(io.BytesIO(contents[1]))
        statistics = parsed_statistics(json.loads(contents[2]), folder)
        stored = manifest["embeddings"]
        return VersionReference(
            version=version,
            labels=tuple(manifest["labels"]),
            multi_label=manifest["multi_label"],
            answers=answers,
            statistics=statistics,
            embeddings=None if stored is None else StoredEmbeddings(**stored),
        )
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise StepError(f"{folder} is damaged: {reason}") from None


def read_embeddings(version: str) -> "npt.NDArray[np.float16]":
    """The embeddings of a version that has some, float16 [N, D].

    Args:
        version: Path or URI of the version's folder.

    Raises:
        StepError: They cannot be read.
    """
    import numpy as np

    location = f"{version}/{FOLDER}/{EMBEDDINGS_FILE}"
    with files.clear_errors(f"cannot read {location}", StepError):
        content = files.read_bytes(location)
    try:
        found: npt.NDArray[np.float16] = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise StepError(f"{location} is damaged: {error}") from None
    return found
