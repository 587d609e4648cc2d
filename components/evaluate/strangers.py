"""Photographs that show none of the labels: whether the model can be told by something."""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from darkroom.artifacts.examples import Examples
from darkroom.artifacts.model import Model
from darkroom.artifacts.predictions import probability_array
from darkroom.errors import SettingsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Floats = npt.NDArray[np.float32]

FLAGGED = 0.05
"""Share of the valid photographs that a threshold takes for strangers."""
MOST = 2000
"""Photographs of a split, and of the strangers, that are looked at."""
NEAREST = 5
"""Which nearest training photograph a distance is measured to."""
SHOWN = 12
_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")

_log = logging.getLogger("darkroom.evaluate")


class Strangers(NamedTuple):
    """What a score tells of photographs that show none of the labels.

    Attributes:
        score: Its name.
        title: What it is.
        threshold: From here on a photograph is taken for a stranger: 5 % of the valid ones are.
        test: Share of the test photographs that are.
        strangers: Share of the strangers that are.
        auc: How well it tells strangers from the test split: 0.5 is by chance.
        values: Of the test photographs and of the strangers, the higher the stranger.
    """

    score: str
    title: str
    threshold: float
    test: float
    strangers: float
    auc: float
    values: "tuple[Floats, Floats]"

    def as_json(self) -> dict[str, Any]:
        """The figures, without the values."""
        return {key: value for key, value in self._asdict().items() if key != "values"}


@dataclasses.dataclass(frozen=True)
class Mistaken:
    """A stranger that looks most like a label.

    Attributes:
        image: Its file.
        label: The most probable label.
        probability: Of it.
    """

    image: Path
    label: str
    probability: float

    @property
    def name(self) -> str:
        """The file's name, whatever its bytes."""
        return os.fsencode(self.image.name).decode("utf-8", "replace")


@dataclasses.dataclass(frozen=True)
class StrangerReport:
    """How the strangers of a folder fall.

    Attributes:
        count: How many there are.
        unreadable: Files that the model cannot decode.
        scores: What each score tells.
        mistaken: Those that the distance tells worst.
    """

    count: int
    unreadable: int
    scores: Sequence[Strangers]
    mistaken: Sequence[Mistaken]


def stranger_files(folder: Path) -> list[Path]:
    """The photographs of `evaluate.strangers`.

    Raises:
        SettingsError: There is no such folder, or there are none in it.
    """
    if not folder.is_dir():
        raise SettingsError(f"setting 'evaluate.strangers': there is no folder {folder}")
    found = sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in _ENDINGS and file.is_file()
    )
    if not found:
        raise SettingsError(f"setting 'evaluate.strangers': there are no photographs in {folder}")
    return found


def look_at_strangers(
    folder: Path,
    examples: Examples,
    model: Model,
    predictions: "Mapping[str, pa.Table]",
) -> StrangerReport | None:
    """Scores how strange photographs are, and finds thresholds on the valid split.

    Two scores: one less the highest probability (Hendrycks and Gimpel, ICLR 2017), and the distance
    from the fifth nearest training photograph in the embedding (Sun et al., ICML 2022). The energy
    would need logits, which the model does not give.

    Args:
        folder: The strangers.
        examples: The examples, for the photographs of all splits.
        model: The model.
        predictions: By split, as `read_predictions` gives them.

    Returns:
        None, with a warning, where there are too few valid photographs to choose a threshold by.
    """
    import numpy as np

    from components.evaluate.predictions.embeddings import Embedder, distances

    if examples.counts.get("valid", 0) < 1 / FLAGGED or not examples.counts.get("train"):
        _log.warning("the training or the valid split is too small to tell strangers by")
        return None
    embedder = Embedder(model.folder)
    files = stranger_files(folder)
    files = files[:: -(-len(files) // MOST)]
    read, unreadable = _readable(embedder, files)
    if not read:
        _log.warning("the model can read none of the strangers in %s", folder)
        return None
    probabilities, embedded = _answers(embedder, read)
    train, valid, test = (
        embedder.records(examples.shards(split), examples.counts.get(split, 0), MOST)[1]
        for split in ("train", "valid", "test")
    )
    if not all(np.isfinite(part).all() for part in (train, valid, test, embedded, probabilities)):
        _log.warning("strangers were not looked at: an embedding or a probability is not a number")
        return None
    far = distances(embedded, train, NEAREST)
    by_distance = (distances(valid, train, NEAREST), distances(test, train, NEAREST), far)
    by_probability = (
        *(_unsure(probability_array(predictions[split])) for split in ("valid", "test")),
        _unsure(probabilities),
    )
    scores = [
        _score("distance", "Distance in the embedding", *by_distance),
        _score("probability", "One less the highest probability", *by_probability),
    ]
    order = np.argsort(far, kind="stable")[:SHOWN]
    best = probabilities.argmax(axis=1)
    mistaken = [
        Mistaken(read[at], model.labels[best[at]], float(probabilities[at, best[at]]))
        for at in order
    ]
    for found in scores:
        _log.info(
            "strangers: %.1f %% told by their %s, and %.1f %% of the test split (AUC %.3f)",
            *(100 * found.strangers, found.score, 100 * found.test, found.auc),
        )
    return StrangerReport(len(read), unreadable, scores, mistaken)


def _readable(embedder: Any, files: Sequence[Path]) -> tuple[list[Path], int]:
    read = [file for file in files if _can_read(embedder, file)]
    return read, len(files) - len(read)


def _can_read(embedder: Any, file: Path) -> bool:
    try:
        return bool(embedder.can_read(file.read_bytes()))
    except OSError:
        return False


def _answers(embedder: Any, files: Sequence[Path]) -> "tuple[Floats, Floats]":
    import numpy as np

    from components.evaluate.predictions.embeddings import BATCH_SIZE

    probabilities, embedded = [], []
    for start in range(0, len(files), BATCH_SIZE):
        images = [file.read_bytes() for file in files[start : start + BATCH_SIZE]]
        probabilities.append(embedder.probabilities(images))
        embedded.append(embedder.embeddings(images))
    return np.concatenate(probabilities), np.concatenate(embedded)


def _unsure(probabilities: "Floats") -> "Floats":
    """One less the highest probability, float32 [N]; 1 where one is not a number."""
    import numpy as np

    highest: Floats = 1 - np.nan_to_num(probabilities, nan=0.0).max(axis=1)
    return highest


def _score(
    name: str, title: str, valid: "Floats", test: "Floats", strangers: "Floats"
) -> Strangers:
    import numpy as np

    from darkroom.answers.curves import roc_auc

    threshold = float(np.quantile(valid, 1 - FLAGGED, method="higher"))
    is_stranger = np.repeat([False, True], [len(test), len(strangers)])
    return Strangers(
        name,
        title,
        threshold,
        float((test > threshold).mean()),
        float((strangers > threshold).mean()),
        float(roc_auc(is_stranger, np.concatenate([test, strangers]))),
        (test, strangers),
    )
