"""Photographs that show none of the labels, and labels of the training split."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate import strangers
from components.evaluate.labels.train_labels import (
    IS_OUTLYING,
    MISLABELLED,
    find_train_suspects,
)
from components.evaluate.predictions import embeddings
from components.evaluate.predictions.embeddings import Photograph, distances
from components.evaluate.strangers import look_at_strangers, stranger_files
from components.evaluate.tests.small_artifacts import png
from darkroom.artifacts.examples import Examples
from darkroom.artifacts.model import Model
from darkroom.errors import SettingsError

pytestmark = pytest.mark.slow

DIRECTIONS = np.eye(8, dtype=np.float32)


def around(direction: int, count: int, generator: Any, spread: float = 0.15) -> Any:
    vectors = DIRECTIONS[direction] + generator.normal(0, spread, (count, 8))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


class Embedded:
    """A fake model: photographs whose embeddings are known."""

    known: dict[str, tuple[list[Photograph], Any]]
    of_bytes: Any

    def __init__(self, folder: Path) -> None:
        del folder

    def records(self, shards: Any, count: int, most: int) -> Any:
        del count
        photographs, vectors = self.known[shards]
        return photographs[:most], vectors[:most]

    def can_read(self, image: bytes) -> bool:
        return image != b"broken"

    def embeddings(self, images: list[bytes]) -> Any:
        return self.of_bytes(len(images))

    def probabilities(self, images: list[bytes]) -> Any:
        return np.full((len(images), 2), 0.5, np.float32)


class Splits(Examples):
    def shards(self, split: str) -> Any:
        return split


def examples(counts: dict[str, int]) -> Examples:
    return Splits(Path("examples"), ("a", "b"), counts, {}, False, {})


MODEL = Model(Path("model"), ("a", "b"), None, None, {})


def photographs(labels: list[str]) -> list[Photograph]:
    return [Photograph(f"id{n}", f"{n}.jpg", label) for n, label in enumerate(labels)]


def test_distances_are_those_to_the_kth_nearest() -> None:
    generator = np.random.default_rng(0)
    of, others = around(0, 30, generator, 1.0), around(1, 50, generator, 1.0)
    every = np.sort(1 - of @ others.T, axis=1)
    assert distances(of, others, 5) == pytest.approx(every[:, 4], abs=1e-6)
    assert distances(of, of, 1) == pytest.approx(np.zeros(30), abs=1e-6)
    assert distances(of, others[:3], 5) == pytest.approx(np.sort(1 - of @ others[:3].T)[:, -1])


def test_strangers_are_told_where_they_lie_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa

    generator = np.random.default_rng(1)
    vectors = np.concatenate([around(0, 100, generator), around(1, 100, generator)])
    everyone = photographs(["a"] * 100 + ["b"] * 100)
    Embedded.known = {
        "train": (everyone, vectors),
        "valid": (everyone, vectors),
        "test": (everyone, vectors[::-1]),
    }
    Embedded.of_bytes = lambda self, count: around(5, count, generator)
    monkeypatch.setattr(embeddings, "Embedder", Embedded)
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(png(np.zeros((4, 4, 3), np.uint8)))
    (tmp_path / "broken.png").write_bytes(b"broken")
    sure = np.tile(np.array([0.9, 0.1], np.float32), 200)
    table = pa.table({"probabilities": pa.FixedSizeListArray.from_arrays(sure, 2)})
    found = look_at_strangers(
        tmp_path,
        examples(dict.fromkeys(("train", "valid", "test"), 200)),
        MODEL,
        {"valid": table, "test": table},
    )
    assert found is not None
    assert (found.count, found.unreadable) == (9, 1)
    by_distance, by_probability = found.scores
    assert by_distance.strangers == 1.0
    assert by_distance.auc == 1.0
    assert by_distance.test < 0.15
    # All valid photographs are as sure as each other: any less sure one is a stranger.
    assert (by_probability.strangers, by_probability.test) == (1.0, 0.0)
    assert len(found.mistaken) == 9
    few = look_at_strangers(tmp_path, examples({"valid": 3}), MODEL, {"valid": table})
    assert few is None


def test_what_are_no_strangers_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"'evaluate.strangers': there is no folder .*nowhere"):
        stranger_files(tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="there are no photographs in"):
        stranger_files(tmp_path)
    assert strangers.FLAGGED == 0.05


def test_planted_errors_of_the_training_split_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    vectors = np.concatenate([around(0, 150, generator), around(1, 150, generator)])
    vectors[7] = -DIRECTIONS[4]  # far from all
    labels = ["a"] * 150 + ["b"] * 150
    planted = [3, 40, 99, 180, 222, 260]
    for place in planted:
        labels[place] = "b" if labels[place] == "a" else "a"
    Embedded.known = {"train": (photographs(labels), vectors)}
    monkeypatch.setattr(embeddings, "Embedder", Embedded)
    found = find_train_suspects(examples({"train": 300}), MODEL)
    wrong = [suspect for suspect in found if suspect.issue == MISLABELLED]
    assert {suspect.image_id for suspect in wrong} <= {f"id{place}" for place in planted}
    assert len(wrong) >= 5
    assert all(suspect.split == "train" for suspect in found)
    assert all(suspect.likely_label != suspect.label for suspect in wrong)
    assert "id7" in {suspect.image_id for suspect in found if suspect.issue == IS_OUTLYING}
    Embedded.known = {"train": (photographs(["a"] * 9 + ["b"]), vectors[:10])}
    assert find_train_suspects(examples({"train": 10}), MODEL) == []
