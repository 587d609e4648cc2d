"""Noisy student: accuracy with 10 % of the flowers' labels, and with a model's labels of the rest.

A fifth of the flowers is the test split, always the same one. Of the others a seed chooses a tenth,
whose labels are known: four fifths of them to train and one to choose the best epoch and calibrate.
MobileNetV2 (alpha 0.35, ImageNet's weights, 96 pixels) is trained on them alone, with little noise
and with the student's; then students are, each with what the one before says of the other nine
tenths. All are trained for as many steps, by the train step's own loop. The same of a head alone
on the frozen backbone, of which there are many seeds.
"""

import functools
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmarks.drift_flowers import WEIGHTS
from benchmarks.heads import Head, Noise, Views, views_of
from benchmarks.photographs import FLOWERS
from components.monitor.labelling.pool import Pool
from components.monitor.labelling.pseudo_labels import select_pseudo_labels
from components.monitor.labelling.settings import PseudoLabelSettings
from components.train.settings import TrainSettings
from darkroom.artifacts.examples import PSEUDO_LABELLED
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.transformed import (
    IMAGE,
    LABEL_INDEX,
    TransformedExamples,
    TransformGraph,
    read_transformed_examples,
)
from darkroom.records.example_proto import serialized_example
from darkroom.records.tfrecord import write_record

SEEDS = range(3)
"""Those from 100 to 104 served to choose the threshold, and the dropout of the supervised head."""
TEST, LABELLED, VALID = 0.2, 0.1, 0.2
SIDE, STORED = 96, 112
ROUNDS = 1
HEAD_SEEDS, HEAD_ROUNDS, VIEWS, DROPOUT = range(20), 3, 5, 0.7
HEAD_STEPS, STEPS, BATCH = 60, 600, 32
"""Steps of the head, and of all layers."""
SELECTION = PseudoLabelSettings()
LITTLE: dict[str, Any] = {"augmentation": {"flip": True}, "dropout": 0.2}
NOISE: dict[str, Any] = {
    "augmentation": {
        **{"flip": True, "rotation": 0.05, "zoom": 0.1, "cutout": 0.3},
        **{"brightness": 0.1, "contrast": 0.2, "saturation": 0.2},
    },
    "dropout": 0.3,
}

Pixels = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Flowers(NamedTuple):
    """All flowers.

    Attributes:
        labels: Their names.
        indices: The label of each, int64 [N].
        pixels: uint8 [N, STORED, STORED, 3].
    """

    labels: tuple[str, ...]
    indices: Places
    pixels: Pixels

    def centres(self, places: Places) -> Pixels:
        """Pixels as a model is asked about them, uint8 [n, SIDE, SIDE, 3]."""
        edge = (STORED - SIDE) // 2
        return self.pixels[places, edge : edge + SIDE, edge : edge + SIDE]


class Divided(NamedTuple):
    """Places of the flowers: those with labels (`train`, `valid`), those without, and the test."""

    train: Places
    valid: Places
    unlabelled: Places
    test: Places


class Marked(NamedTuple):
    """Photographs with the labels that a model gave them."""

    places: Places
    indices: Places


NONE = Marked(np.zeros(0, np.int64), np.zeros(0, np.int64))


class Trained(NamedTuple):
    """A trained model's answers.

    Attributes:
        unlabelled: Probabilities of what has no label, float64 [N, K].
        hits: Whether it is right, of each photograph of the test split.
    """

    unlabelled: Floats
    hits: npt.NDArray[np.bool_]


Train = Callable[[Divided, Marked, bool, int], Trained]
"""Trains a model on photographs with labels and on marked ones, with much noise or little, by a
seed."""


@functools.cache
def read_views() -> Views:
    """Features of all flowers."""
    return views_of(read_flowers().pixels, SIDE, NOISE["augmentation"], VIEWS)


@functools.cache
def read_flowers() -> Flowers:
    """Decodes all flowers."""
    files = sorted(FLOWERS.glob("*/*.jpg"))
    names = sorted({file.parent.name for file in files})
    pixels = np.empty((len(files), STORED, STORED, 3), np.uint8)
    for place, file in enumerate(files):
        with Image.open(file) as picture:
            picture.draft("RGB", (2 * STORED, 2 * STORED))
            small = picture.convert("RGB").resize((STORED, STORED), Image.Resampling.BILINEAR)
        pixels[place] = np.asarray(small)
    indices = np.array([names.index(file.parent.name) for file in files])
    return Flowers(tuple(names), indices, pixels)


def divide(count: int, seed: int) -> Divided:
    """Divides photographs; the test split is the same for all seeds."""
    order = np.random.default_rng(0).permutation(count)
    test, rest = np.split(order, [round(TEST * count)])
    rest = np.random.default_rng(seed + 1).permutation(rest)
    labelled, unlabelled = np.split(rest, [round(LABELLED * len(rest))])
    valid, train = np.split(labelled, [round(VALID * len(labelled))])
    return Divided(train, valid, unlabelled, test)


def train_model(
    flowers: Flowers, parts: Divided, marked: Marked, seed: int, **settings: Any
) -> Trained:
    """Trains a model on labelled photographs and on marked ones.

    Args:
        flowers: All flowers.
        parts: Which ones have labels.
        marked: Those with labels of a model.
        seed: Of the training.
        **settings: Of the train step.
    """
    import keras

    from components.train.distribution.strategy import WorkerGroup
    from components.train.export.calibration import calibrate
    from components.train.loop.checkpoint import BEST_WEIGHTS
    from components.train.model.network import build_network
    from components.train.train import train_weights

    keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        source = _write(Path(folder) / "records", flowers, parts, marked)
        graph = TransformGraph(Path(folder), flowers.labels, (SIDE, SIDE), (0, 0, 0), (1, 1, 1))
        steps = source.counts["train"] / BATCH
        values = {
            **{"alpha": 0.35, "weights": str(WEIGHTS), "batch_size": BATCH, "seed": seed},
            **{"label_smoothing": 0.1, "fine_tune_learning_rate": 1e-3},
            "epochs": max(1, round(HEAD_STEPS / steps)),
            "fine_tune_epochs": max(1, round(STEPS / steps)),
        }
        given = TrainSettings.model_validate(values | settings)
        checkpoints = Path(folder) / "checkpoints"
        checkpoints.mkdir()
        train_weights(source, graph, given, WorkerGroup(), checkpoints)
        network = build_network(given, graph, "none")
        network.model.load_weights(checkpoints / BEST_WEIGHTS)
        calibrate(network.model, source, graph, BATCH)
    unlabelled, test = (
        network.model.predict(flowers.centres(places).astype(np.float32), 256, verbose=0)
        for places in (parts.unlabelled, parts.test)
    )
    hits = test.argmax(axis=1) == flowers.indices[parts.test]
    return Trained(unlabelled.astype(np.float64), hits)


def _write(folder: Path, flowers: Flowers, parts: Divided, marked: Marked) -> TransformedExamples:
    """Transformed examples.

    Labelled ones alone are repeated, so that an epoch is no shorter: all models choose among as
    many epochs.
    """
    folder.mkdir()
    times = 1 if len(marked.places) else round(len(parts.unlabelled) / len(parts.train))
    train = np.repeat(parts.train, times)
    records = [
        *((flowers.pixels[place], int(flowers.indices[place]), {}) for place in train),
        *(
            (flowers.pixels[place], int(index), {PSEUDO_LABELLED: 1})
            for place, index in zip(*marked, strict=True)
        ),
    ]
    valid = zip(flowers.centres(parts.valid), flowers.indices[parts.valid], strict=True)
    splits: dict[str, list[Any]] = {
        "train": records,
        "valid": [(pixels, int(index), {}) for pixels, index in valid],
    }
    for split, some in splits.items():
        with (folder / f"{split}-00000-of-00001.tfrecord").open("wb") as file:
            for pixels, index, mark in some:
                features = {IMAGE: pixels.tobytes(), LABEL_INDEX: index, **mark}
                write_record(file, serialized_example(features))
    facts = {
        "counts": {split: len(some) for split, some in splits.items()},
        "stored_size": {"train": (STORED, STORED), "valid": (SIDE, SIDE)},
        PSEUDO_LABELLED: len(marked.places),
    }
    write_manifest(folder, "transformed_examples", facts)
    return read_transformed_examples(folder)


def select(
    flowers: Flowers, parts: Divided, said: Trained, settings: PseudoLabelSettings = SELECTION
) -> Marked:
    """The photographs whose label a model is sure of, by Darkroom's own selection."""
    count = len(parts.unlabelled)
    names = tuple(map(str, parts.unlabelled.tolist()))
    pool = Pool(
        flowers.labels,
        names,
        names,
        said.unlabelled,
        np.zeros((count, 0), np.float32),
        np.zeros(count, np.bool_),
        np.zeros((count, len(flowers.labels)), np.bool_),
    )
    chosen = select_pseudo_labels(pool, settings.threshold, settings.per_label, settings.imbalance)
    places = parts.unlabelled[[each.place for each in chosen]]
    return Marked(places, np.array([flowers.labels.index(each.label) for each in chosen]))


def fit_head(
    flowers: Flowers, views: Views, parts: Divided, marked: Marked, noise: Noise, seed: int
) -> Trained:
    """What `train_model` gives, of a head on features."""
    from components.train.export.calibration import best_temperature, tempered

    count = len(flowers.labels)
    places = np.concatenate([parts.train, marked.places])
    indices = np.concatenate([flowers.indices[parts.train], marked.indices])
    head = Head(views, places, indices, noise, seed, count)
    valid = np.eye(count)[flowers.indices[parts.valid]]
    said = head.probabilities(views.plain[parts.valid])
    temperature = best_temperature(valid, said, multi_label=False)
    unlabelled, test = (
        tempered(head.probabilities(views.plain[places]), temperature, multi_label=False)
        for places in (parts.unlabelled, parts.test)
    )
    return Trained(unlabelled, test.argmax(axis=1) == flowers.indices[parts.test])


class Life(NamedTuple):
    """What came of a seed.

    Attributes:
        accuracies: Of the test split, by way.
        marked: Number of photographs that the first student was given labels of.
        right: Share of those labels that are right.
    """

    accuracies: dict[str, float]
    marked: int
    right: float


LITTLE_NOISE, SAME_NOISE = "supervised, little noise", "supervised, the student's noise"


def student(number: int) -> str:
    """The name of a student, by its round."""
    return f"student, round {number}"


def live(seed: int, train: Train, rounds: int) -> Life:
    """Trains all models of a seed.

    Args:
        seed: The seed.
        train: Trains one, with the student's noise or with little.
        rounds: How many students there are.
    """
    flowers = read_flowers()
    parts = divide(len(flowers.indices), seed)
    found = {
        name: train(parts, NONE, noise, seed)
        for name, noise in ((LITTLE_NOISE, False), (SAME_NOISE, True))
    }
    teacher, first = found[SAME_NOISE], None
    for number in range(1, rounds + 1):
        marked = select(flowers, parts, teacher)
        first = first or marked
        teacher = found[student(number)] = train(parts, marked, True, seed)
    assert first is not None
    right = float((flowers.indices[first.places] == first.indices).mean())
    hits = {name: float(each.hits.mean()) for name, each in found.items()}
    print(seed, hits, len(first.places), round(right, 3), file=sys.stderr, flush=True)
    return Life(hits, len(first.places), right)


def live_whole(seed: int) -> Life:
    """A seed of whole networks."""

    def train(parts: Divided, marked: Marked, is_noisy: bool, seed: int) -> Trained:
        return train_model(read_flowers(), parts, marked, seed, **(NOISE if is_noisy else LITTLE))

    return live(seed, train, ROUNDS)


def live_head(seed: int) -> Life:
    """A seed of heads."""

    def train(parts: Divided, marked: Marked, is_noisy: bool, seed: int) -> Trained:
        noise = Noise(is_noisy, DROPOUT if is_noisy else 0.0)
        return fit_head(read_flowers(), read_views(), parts, marked, noise, seed)

    with threadpool_limits(1):
        return live(seed, train, HEAD_ROUNDS)


def _table(lives: Sequence[Life]) -> str:
    """Accuracy of the test split by way, and how far each is ahead of the better supervised one."""
    from scipy.stats import ttest_1samp

    found = {
        name: np.array([life.accuracies[name] for life in lives]) for name in lives[0].accuracies
    }
    best = max((LITTLE_NOISE, SAME_NOISE), key=lambda name: float(found[name].mean()))
    lines = [f"| trained | accuracy | ahead of {best} | seeds ahead |", "|---|---|---|---|"]
    for name, values in found.items():
        cells = " | "
        if name != best:
            lead = values - found[best]
            low, high = ttest_1samp(lead, 0).confidence_interval()
            ahead = f"{lead.mean():+.3f} ({low:+.3f} to {high:+.3f})"
            cells = f"{ahead} | {(lead > 0).sum()} of {len(lead)}"
        lines.append(f"| {name} | {values.mean():.3f} | {cells} |")
    count, right = (
        np.mean([getattr(life, name) for life in lives]) for name in ("marked", "right")
    )
    return "\n".join([*lines, "", f"The first student had {count:,.0f} labels, {right:.1%} right."])


def measure() -> str:
    """Heads, then whole networks."""
    heads = _table([live_head(seed) for seed in HEAD_SEEDS])
    whole = _table([live_whole(seed) for seed in SEEDS])
    return (
        f"The head alone, {len(HEAD_SEEDS)} seeds:\n\n{heads}\n\n"
        f"All layers, {len(SEEDS)} seeds:\n\n{whole}"
    )
