"""An index finds what an exact search finds, and refuses what it cannot be asked about."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from components.search.index import PhotographIndex, build_index
from components.search.tests.conftest import DIGEST, write_predictions
from darkroom.errors import DarkroomError, SettingsError, StepError

IMAGES = [f"photos/{number % 7}/{number}.jpg" for number in range(600)]


def embeddings(seed: int = 0) -> np.ndarray:
    """Some twenty groups of directions, float32 [600, 48]."""
    generator = np.random.default_rng(seed)
    groups = generator.normal(size=(20, 48))[generator.integers(0, 20, 600)]
    return (groups + 0.3 * generator.normal(size=groups.shape)).astype(np.float32)


def test_the_nearest_are_those_of_an_exact_search(tmp_path: Path) -> None:
    given = embeddings()
    predictions = write_predictions(tmp_path / "predictions", IMAGES, given)
    counts = build_index(predictions, tmp_path / "index")
    assert counts == {"indexed": 600, "left_out": 0}
    index = PhotographIndex(tmp_path / "index", DIGEST)
    unit = given / np.linalg.norm(given, axis=1, keepdims=True)
    common = 0
    for number in range(0, 600, 6):
        found = index.nearest(3 * given[number], 10)
        assert found[0].image == IMAGES[number]
        assert found[0].image_id == f"id of {IMAGES[number]}"
        assert found[0].label == str(number % 7)
        assert found[0].distance == pytest.approx(0, abs=1e-3)
        exact = 1 - unit @ unit[number]
        expected = np.argsort(exact)[:10]
        given_places = [IMAGES.index(one.image) for one in found]
        assert [one.distance for one in found] == pytest.approx(exact[given_places], abs=2e-3)
        assert [one.distance for one in found] == sorted(one.distance for one in found)
        common += len(set(expected.tolist()) & set(given_places))
    assert common >= 0.98 * 1000


def test_fewer_than_asked_for_are_all_there_are(tmp_path: Path) -> None:
    predictions = write_predictions(tmp_path / "predictions", IMAGES[:3], embeddings()[:3])
    build_index(predictions, tmp_path / "index")
    found = PhotographIndex(tmp_path / "index", DIGEST).nearest(embeddings()[1], 10)
    assert sorted(one.image for one in found) == sorted(IMAGES[:3])


def test_an_embedding_without_a_direction_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = embeddings()
    given[5], given[400], given[401, 3] = 0, np.nan, np.inf
    given[7] *= 1e30
    predictions = write_predictions(tmp_path / "predictions", IMAGES, given)
    with caplog.at_level(logging.WARNING, "darkroom.search"):
        counts = build_index(predictions, tmp_path / "index")
    assert counts == {"indexed": 597, "left_out": 3}
    assert "3 photographs are left out" in caplog.text
    index = PhotographIndex(tmp_path / "index", DIGEST)
    # What stands behind them has kept its photograph, however long its embedding is.
    for number in (6, 7, 399, 402, 599):
        assert index.nearest(embeddings()[number], 1)[0].image == IMAGES[number]


def test_an_index_of_another_model_is_refused(tmp_path: Path) -> None:
    build_index(write_predictions(tmp_path / "predictions", IMAGES, embeddings()), tmp_path / "i")
    with pytest.raises(StepError, match=r"holds embeddings of another model \(a{12}, not b{12}\)"):
        PhotographIndex(tmp_path / "i", "b" * 64)


@pytest.mark.parametrize("name", ["embeddings.usearch", "photographs.parquet"])
def test_a_damaged_index_is_one_line(tmp_path: Path, name: str) -> None:
    build_index(write_predictions(tmp_path / "predictions", IMAGES, embeddings()), tmp_path / "i")
    content = (tmp_path / "i" / name).read_bytes()
    for damaged in (b"", content[:50], b"x" * 5000):
        (tmp_path / "i" / name).write_bytes(damaged)
        with pytest.raises(StepError, match=r"is damaged \(.*\): build it again$") as raised:
            PhotographIndex(tmp_path / "i", DIGEST)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"embeddings": None}, "has no embeddings: predict again with embedding: true"),
        ({"embeddings": embeddings(), "format": "csv"}, "holds predictions as csv: predict again"),
        ({"embeddings": embeddings(), "digest": ""}, "is what a served model says, which does not"),
        ({"images": [], "embeddings": []}, "has no photograph with an embedding to index"),
        ({"images": IMAGES[:2], "embeddings": np.zeros((2, 4))}, "has no photograph with an emb"),
    ],
)
def test_predictions_that_cannot_be_indexed(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    asked: dict[str, object] = {"images": IMAGES} | changes
    predictions = write_predictions(tmp_path / "predictions", **asked)  # type: ignore[arg-type]
    with pytest.raises(DarkroomError, match=message) as raised:
        build_index(predictions, tmp_path / "index")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions"]


def test_predictions_that_are_not_whole_are_not_indexed(tmp_path: Path) -> None:
    predictions = write_predictions(tmp_path / "predictions", IMAGES, embeddings())
    (predictions / "manifest.json").unlink()
    with pytest.raises(StepError, match="is not complete"):
        build_index(predictions, tmp_path / "index")


def test_an_index_that_exists_is_kept(tmp_path: Path) -> None:
    predictions = write_predictions(tmp_path / "predictions", IMAGES, embeddings())
    build_index(predictions, tmp_path / "index")
    before = json.loads((tmp_path / "index" / "manifest.json").read_text())
    with pytest.raises(SettingsError, match="index exists: remove it"):
        build_index(predictions, tmp_path / "index")
    assert json.loads((tmp_path / "index" / "manifest.json").read_text()) == before
