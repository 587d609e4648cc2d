"""A model of two labels gives the positive one from a threshold that the valid split chose."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.train.model.decision import best_place, check_decision
from components.train.model.thresholds import counts_by_threshold
from components.train.settings import DecisionSettings, TrainSettings
from components.train.tests.conftest import LABELS, SIZE, SMALL_CNN, Transformed, save_graph
from components.train.train import train
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.model import read_model
from darkroom.artifacts.transformed import read_transform_graph
from darkroom.errors import SettingsError
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record
from darkroom.settings import validate_settings

COUNTS = {"train": 64, "valid": 60, "test": 40}


@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.sampled_from([3, 1000]))
def test_the_threshold_is_the_best_of_all(seed: int, count: int, levels: int) -> None:
    generator = np.random.default_rng(seed)
    scores = (generator.integers(0, levels, count) / levels).astype(np.float32)
    has = generator.random(count) < 0.4
    counts = counts_by_threshold(has, scores)
    tried = np.array([scores >= threshold for threshold in counts.thresholds])
    hits, given_it = (tried & has).sum(axis=1), tried.sum(axis=1)
    recall, precision = hits / max(has.sum(), 1), hits / given_it

    def place(**wanted: float) -> int:
        return best_place(counts, DecisionSettings(positive_label="a", **wanted))

    found = place(missed=5, false_alarm=2)
    cost = 5 * (has.sum() - hits) + 2 * (given_it - hits)
    assert cost[found] == cost.min()
    found = place(recall=0.8)
    if has.any():
        assert recall[found] >= 0.8
        assert precision[found] == precision[recall >= 0.8].max()
    found = place(precision=0.7)
    if (precision >= 0.7).any():
        assert precision[found] >= 0.7
        assert recall[found] == recall[precision >= 0.7].max()
        as_good = (precision >= 0.7) & (recall == recall[found])
        assert precision[found] == precision[as_good].max()
    else:
        assert precision[found] == precision.max()


def dim_and_lit(count: int, seed: int) -> tuple[Any, Any]:
    """Noise that is brighter where it is lit, with much in common."""
    generator = np.random.default_rng(seed)
    lit = np.arange(count) % 2
    pixels = generator.integers(0, 120, (count, SIZE, SIZE, 3))
    pixels += (generator.normal(0, 20, count) + 15 * lit).astype(int)[:, None, None, None] + 60
    return pixels.clip(0, 255).astype(np.uint8), lit


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Transformed:
    folder = tmp_path_factory.mktemp("two")
    graph, records = folder / "graph", folder / "records"
    records.mkdir()
    pixels, lit = {}, {}
    for seed, (split, count) in enumerate(COUNTS.items()):
        pixels[split], lit[split] = dim_and_lit(count, seed)
        with (records / f"{split}-00000-of-00001.tfrecord").open("wb") as file:
            for image, index in zip(pixels[split], lit[split], strict=True):
                record = {"image": image.tobytes(), "label_index": int(index)}
                write_record(file, serialized_example(record))
    sizes = {split: [SIZE, SIZE] for split in COUNTS}
    write_manifest(records, "transformed_examples", {"counts": COUNTS, "stored_size": sizes})
    save_graph(graph)
    facts = {"labels": ["dim", "lit"], "image_size": [SIZE, SIZE]}
    moments = {"pixel_mean": [120.0] * 3, "pixel_variance": [1500.0] * 3}
    write_manifest(graph, "transform_graph", facts | moments)
    return Transformed(graph, records, pixels, lit)


@pytest.mark.slow
@pytest.mark.parametrize("positive", ["dim", "lit"])
def test_the_exported_model_gives_the_label_from_the_threshold_on(
    two: Transformed, tmp_path: Path, positive: str
) -> None:
    import tensorflow as tf

    decision = {"positive_label": positive, "recall": 0.95}
    values = SMALL_CNN | {"epochs": 4, "decision": decision, "export": ["tflite", "tflite_integer"]}
    settings = validate_settings(TrainSettings, values, "train")
    model = tmp_path / "model"
    train(two.records, two.graph, settings, model=model, checkpoints=tmp_path / "checkpoints")
    known = read_model(model)
    assert known.thresholds is None
    assert known.decision is not None
    assert known.decision.positive_label == positive
    threshold = np.float32(known.decision.threshold)
    signatures = tf.saved_model.load(str(model)).signatures
    place = known.labels.index(positive)
    shares = []
    for split in ("valid", "test"):
        images = tf.constant(two.pixels[split], tf.float32)
        answer = signatures["xai_model"](input_images=images)
        probabilities = answer["probabilities"].numpy()
        is_positive = probabilities[:, place] >= threshold
        expected = np.where(is_positive, place, 1 - place)
        assert answer["label_index"].numpy().tolist() == expected.tolist()
        names = [known.labels[index].encode() for index in expected]
        assert answer["label"].numpy().tolist() == names
        given_it = np.take_along_axis(probabilities, expected[:, None], axis=1)[:, 0]
        assert answer["probability"].numpy().tolist() == given_it.tolist()
        shares.append(is_positive[two.indices[split] == place].mean())
    assert shares[0] >= 0.95
    lines = (model / "exports" / "thresholds.txt").read_text().split()
    assert np.float32(lines[place]) == threshold
    assert float(lines[place]) + float(lines[1 - place]) == pytest.approx(1)


@pytest.mark.slow
def test_what_cannot_be_decided_is_said_before_training(
    two: Transformed, transformed: Transformed
) -> None:
    graph = read_transform_graph(two.graph)
    wrong = DecisionSettings(positive_label="lid")
    with pytest.raises(SettingsError, match=r"no label 'lid'; did you mean 'lit'\?"):
        check_decision(wrong, graph)
    with pytest.raises(SettingsError, match="is for two labels; there are 3"):
        check_decision(
            DecisionSettings(positive_label=LABELS[0]), read_transform_graph(transformed.graph)
        )
    with pytest.raises(SettingsError, match="give one of 'recall', 'precision' and what"):
        validate_settings(
            TrainSettings, {"decision": {"positive_label": "a", "recall": 1, "missed": 3}}, "train"
        )
