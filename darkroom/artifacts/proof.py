"""A model's proof: photographs with the answers that it must give, wherever it is served.

It lies in the folder `proof` of a pushed version: the photographs, `answers.json`, the verdict of
the evaluation, the bill of materials, and the digests of all files of the version.
`darkroom verify` sends the photographs to a server and compares.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pydantic

from darkroom.artifacts.manifest import MANIFEST, file_digest
from darkroom.artifacts.signature import SIGNATURE
from darkroom.errors import StepError
from darkroom.image_headers import JPEG_MAGIC
from darkroom.storage.atomic import write_json
from darkroom.storage.folders import read_folder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FOLDER = "proof"
FORMAT_VERSION = 1
TOLERANCE = 1e-5
"""Largest difference of a probability from the evaluation's; all doors run the same graph."""
_ANSWERS, _VERDICT, _DIGESTS = "answers.json", "verdict.json", "digests.json"
_WRITTEN_AFTER = (f"{FOLDER}/{_DIGESTS}", SIGNATURE)
"""Files that the digests cannot hold."""


@dataclasses.dataclass(frozen=True)
class Proof:
    """Photographs and the answers they must get.

    Attributes:
        labels: The labels in the order of `probabilities`.
        image_ids: Content digests of the photographs' examples.
        images: Encoded bytes.
        probabilities: float32 [N, K].
        tolerance: Largest difference of a probability.
        synthetic: Whether the images were made, since the photographs may not travel.
    """

    labels: tuple[str, ...]
    image_ids: tuple[str, ...]
    images: tuple[bytes, ...]
    probabilities: "npt.NDArray[np.float32]"
    tolerance: float = TOLERANCE
    synthetic: bool = False


class _Row(pydantic.BaseModel):
    """A photograph in `answers.json`; who gives a proof names no other file by it."""

    file: str = pydantic.Field(pattern=r"^photographs/[0-9]+\.[a-z]+$")
    image_id: str
    probabilities: list[float] = pydantic.Field(min_length=1)


class _Answers(pydantic.BaseModel):
    format_version: Literal[1]
    labels: list[str]
    tolerance: float = pydantic.Field(gt=0, le=1e-3)
    synthetic: bool
    photographs: list[_Row] = pydantic.Field(min_length=1)


def write_proof(
    version: Path, proof: Proof, verdict: Mapping[str, Any], digests: Mapping[str, str]
) -> None:
    """Writes the folder `proof` of a version, the digests last.

    Args:
        version: The version's folder, otherwise complete.
        proof: What it must hold.
        verdict: What the evaluation said of the model; JSON values.
        digests: SHA-256 of those of its files whose digests are known already, by path.
    """
    folder = version / FOLDER
    (folder / "photographs").mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (image_id, image) in enumerate(zip(proof.image_ids, proof.images, strict=True)):
        ending = "jpg" if image.startswith(JPEG_MAGIC) else "image"
        name = f"photographs/{number:03d}.{ending}"
        (folder / name).write_bytes(image)
        # As decimal digits of a double, a float32 comes back exactly.
        probabilities = [float(value) for value in proof.probabilities[number]]
        rows.append({"file": name, "image_id": image_id, "probabilities": probabilities})
    answers = {
        "format_version": FORMAT_VERSION,
        "labels": list(proof.labels),
        "tolerance": proof.tolerance,
        "synthetic": proof.synthetic,
        "photographs": rows,
    }
    write_json(folder / _ANSWERS, answers)
    write_json(folder / _VERDICT, verdict)
    write_json(folder / _DIGESTS, file_digests(version, digests))


def read_proof(version: str | Path) -> Proof:
    """Reads a version's proof.

    Args:
        version: Path or URI of the version's folder.

    Raises:
        StepError: It has none, or one that this release cannot read.
    """
    import numpy as np

    with read_folder(f"{version}/{FOLDER}") as folder:
        try:
            answers = _Answers.model_validate_json((folder / _ANSWERS).read_bytes())
            rows = answers.photographs
            return Proof(
                labels=tuple(answers.labels),
                image_ids=tuple(row.image_id for row in rows),
                images=tuple((folder / row.file).read_bytes() for row in rows),
                probabilities=np.array([row.probabilities for row in rows], np.float32),
                tolerance=answers.tolerance,
                synthetic=answers.synthetic,
            )
        except FileNotFoundError:
            raise StepError(f"{version} has no proof; push the model again") from None
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or _ANSWERS
            message = f"the proof of {version} cannot be read: {place}: {first['msg']}"
            raise StepError(message) from None
        except (OSError, ValueError) as error:
            raise StepError(f"the proof of {version} cannot be read: {error}") from None


def has_digests(version: Path) -> bool:
    """Whether a version says what its files are."""
    return (version / FOLDER / _DIGESTS).is_file()


def changed_files(version: Path) -> list[str]:
    """Files of a version that are not as its digests say: changed, missing or added.

    Raises:
        StepError: It has no digests.
    """
    try:
        content = (version / FOLDER / _DIGESTS).read_bytes()
        expected = pydantic.TypeAdapter(dict[str, str]).validate_json(content)
    except (OSError, ValueError):
        raise StepError(f"{version} has no digests in {FOLDER}/") from None
    found = file_digests(version)
    if MANIFEST not in expected:  # of a release that wrote it after the digests
        found.pop(MANIFEST, None)
    return sorted(name for name in expected.keys() | found if expected.get(name) != found.get(name))


def file_digests(version: Path, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """SHA-256 of a version's files by path, all but those that are written after its digests.

    Args:
        version: The version's folder.
        known: Digests that need not be computed again.
    """
    known = known or {}
    files = sorted(path for path in version.rglob("*") if path.is_file())
    names = {path.relative_to(version).as_posix(): path for path in files}
    return {
        name: known.get(name) or file_digest(path)
        for name, path in names.items()
        if name not in _WRITTEN_AFTER
    }
