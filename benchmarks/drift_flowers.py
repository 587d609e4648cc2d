"""Drift of real photographs: the flowers as they are, and as other cameras would have made them.

MobileNetV2's features (alpha 0.35, 96 pixels) and a regression on them are the served model. A life
splits the photographs by a seed: 1,000 to train, 982 for the reference, 15 windows of 100 others.
From window `CHANGED_AT` on they are changed. It also prints the accuracy of the changed windows
beside its estimate without labels.
"""

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter
from threadpoolctl import threadpool_limits

from benchmarks.detectors import EMBEDDING, HEADER, Photographs, darkroom, rows
from benchmarks.photographs import FLOWERS, SCRATCH, SHARED
from components.monitor.drift.answers import confidences, entropies
from components.monitor.drift.distance import neighbour_distances, share_beyond
from components.monitor.quality.estimated_accuracy import (
    calibration,
    doubts,
    estimate_accuracy,
)
from darkroom.images.measures import measure as measured

WEIGHTS = SHARED / "weights" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"
LIVES, CHANGED_LIVES = 40, 10
TRAIN, REFERENCE, WINDOWS, SIZE, CHANGED_AT = 1000, 982, 15, 100, 5
SIDE = 96
SEED = 100
"""Of the first life; those from 0 on served to choose the classifier's strength."""
MEASURES = ("brightness", "contrast", "sharpness")

Floats = npt.NDArray[np.float64]


def blurred(picture: Image.Image) -> Image.Image:
    """Out of focus."""
    return picture.filter(ImageFilter.GaussianBlur(1.5))


def other_colours(picture: Image.Image) -> Image.Image:
    """Another camera's white balance and colours."""
    pixels = np.asarray(picture, np.float64) * [1.1, 1.0, 0.85]
    warm = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return ImageEnhance.Color(warm).enhance(0.7)


def other_photographer(picture: Image.Image) -> Image.Image:
    """Nearer, tilted, and in the evening: made, as no photograph says who took it."""
    width, height = picture.size
    tilted = picture.rotate(12, Image.Resampling.BILINEAR)
    near = tilted.crop((width // 5, height // 5, width * 4 // 5, height * 4 // 5))
    return ImageEnhance.Brightness(near).enhance(0.8)


CHANGES: dict[str, Callable[[Image.Image], Image.Image] | None] = {
    "none": None,
    "blur": blurred,
    "another camera's colours": other_colours,
    "a new photographer (made)": other_photographer,
}
UNKNOWN = "30 % tulips, which the model does not know"
TULIPS = 4


def features(change: str) -> dict[str, npt.NDArray[Any]]:
    """Labels, measures and embeddings of all flowers with a change; computed once, then kept."""
    kept = SCRATCH / f"drift-{SIDE}-{change.split(' (')[0].replace(' ', '-')}.npz"
    if not kept.exists():
        SCRATCH.mkdir(parents=True, exist_ok=True)
        np.savez(kept, **_computed(CHANGES[change]))  # type: ignore[arg-type]
    with np.load(kept) as held:
        return dict(held)


def _computed(change: Callable[[Image.Image], Image.Image] | None) -> dict[str, npt.NDArray[Any]]:
    import keras

    network = keras.applications.MobileNetV2(
        (SIDE, SIDE, 3), 0.35, include_top=False, weights=str(WEIGHTS), pooling="avg"
    )
    files = sorted(FLOWERS.glob("*/*.jpg"))
    names = sorted({file.parent.name for file in files})
    pixels = np.empty((len(files), SIDE, SIDE, 3), np.uint8)
    taken = np.empty((len(files), len(MEASURES)))
    for place, file in enumerate(files):
        with Image.open(io.BytesIO(file.read_bytes())) as opened:
            picture = opened.convert("RGB")
        picture = picture if change is None else change(picture)
        grey = measured(np.asarray(picture.convert("L")))
        taken[place] = [getattr(grey, name) for name in MEASURES]
        pixels[place] = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    embedding = network.predict(pixels / np.float32(127.5) - 1, batch_size=64, verbose=0)
    labels = np.array([names.index(file.parent.name) for file in files])
    return {"label": labels, "measures": taken, "embedding": embedding}


class Life:
    """A model, its reference and windows, by a seed."""

    def __init__(self, change: str, seed: int) -> None:
        from sklearn.linear_model import LogisticRegression

        plain, changed = features("none"), features("none" if change == UNKNOWN else change)
        order = np.random.default_rng(seed).permutation(len(plain["label"]))
        unknown = order[plain["label"][order] == TULIPS]
        if change == UNKNOWN:
            order = order[plain["label"][order] != TULIPS]
        train, reference, rest = np.split(order, [TRAIN, TRAIN + REFERENCE])
        model = LogisticRegression(C=0.1, max_iter=300)
        self._model = model.fit(plain["embedding"][train], plain["label"][train])
        self.reference = self._seen(plain, reference)
        parts = list(rest[: len(rest) // SIZE * SIZE].reshape(-1, SIZE)[:WINDOWS])
        self.changed_at = 2 if change == UNKNOWN else CHANGED_AT
        if change == UNKNOWN:  # in place of 30 of each 100
            for place in range(self.changed_at, len(parts)):
                parts[place] = np.concatenate([parts[place][30:], unknown[place * 30 :][:30]])
        self.windows = [
            self._seen(changed if place >= self.changed_at else plain, part)
            for place, part in enumerate(parts)
        ]

    def _seen(self, of: dict[str, npt.NDArray[Any]], places: npt.NDArray[np.int64]) -> Photographs:
        embedding = of["embedding"][places]
        probabilities = self._model.predict_proba(embedding)
        given = self._model.classes_[probabilities.argmax(axis=1)]
        measures: dict[str, Floats] = dict(zip(MEASURES, of["measures"][places].T, strict=True))
        measures |= {
            "confidence": confidences(probabilities),
            "entropy": entropies(probabilities),
        }
        return Photographs(given, TULIPS + 1, measures, given == of["label"][places], embedding)


def _estimated(change: str) -> str:
    """The accuracy of the changed windows of one life, and what is estimated without labels."""
    life = Life(change, SEED)
    assert life.reference.right is not None
    known = calibration(life.reference.measures["confidence"], life.reference.right)
    windows = life.windows[life.changed_at :]
    sure = np.concatenate([each.measures["confidence"] for each in windows])
    right = np.concatenate([each.right for each in windows if each.right is not None])
    found = estimate_accuracy(sure, known)
    fitted, held_out = np.split(life.reference.embedding, 2)
    embedding = np.concatenate([each.embedding for each in windows])
    near = neighbour_distances(held_out, fitted)
    far = share_beyond(neighbour_distances(embedding, fitted), near)
    *_, alarms = darkroom(life.reference, life.windows)
    low, high = found.interval
    against = "; ".join(doubts(sure, known, far, drifted=EMBEDDING in alarms))
    return (
        f"| {change} | {right.mean():.3f} | {found.accuracy:.3f} ({low:.3f} to {high:.3f}) "
        f"| {found.thresholded:.3f} | {against or 'none'} |"
    )


def measure() -> str:
    """Both tables."""

    def tables() -> Iterator[str]:
        yield HEADER
        for change, made in CHANGES.items():
            count = CHANGED_LIVES if made else LIVES
            lives = [Life(change, SEED + number) for number in range(count)]
            pairs = [(life.reference._replace(right=None), life.windows) for life in lives]
            unlabelled = [
                (reference, [window._replace(right=None) for window in windows])
                for reference, windows in pairs
            ]
            yield from rows(change, unlabelled, CHANGED_AT if made else None)
        yield "\n| windows | accuracy | estimated, 95 % interval | thresholded | doubts |"
        yield "|---|---|---|---|---|"
        yield from map(_estimated, [*CHANGES, UNKNOWN])

    for change in CHANGES:  # TensorFlow uses all processors
        features(change)
    with threadpool_limits(1):
        return "\n".join(tables())
