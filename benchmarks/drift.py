"""False alarms over a model's life, and windows until an alarm, on made windows.

Each life is a reference and 30 windows of a made world: five labels, brightness, confidence,
whether the answer is right, and an embedding. Darkroom's tests look at all of it, window by window;
so do the usual tests at 5 % (SciPy's), and river's ADWIN, which reads every photograph.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.detectors import HEADER, Photographs, rows

LIVES, CHANGED_LIVES = 200, 50
WINDOWS, SIZE, REFERENCE = 30, 500, 1000
CHANGED_AT = 10
"""The window, from 0, in which a change comes."""
LABELS = {"daisy": 0.2, "dandelion": 0.25, "roses": 0.2, "sunflowers": 0.2, "tulips": 0.15}
DIMENSIONS = 16


class World(NamedTuple):
    """What may change."""

    roses: float = 0.2
    brightness: float = 1.0
    accuracy: float = 0.92
    embedding: float = 0.0


CHANGES = {
    "none": World(),
    "a label's share +10 points": World(roses=0.3),
    "brightness -30 %": World(brightness=0.7),
    "accuracy -5 points": World(accuracy=0.87),
    "the embedding's mean, 0.5 deviations": World(embedding=0.5),
}


def photographs(world: World, count: int, generator: np.random.Generator) -> Photographs:
    """Photographs of a world."""
    others = 1 - LABELS["roses"]
    chances = {
        label: world.roses if label == "roses" else share / others * (1 - world.roses)
        for label, share in LABELS.items()
    }
    label = generator.choice(len(LABELS), count, p=list(chances.values()))
    brightness = np.clip(generator.normal(120, 40, count), 0, 255) * world.brightness
    right = generator.random(count) < world.accuracy
    # Wrong answers are less sure, and say so less often than they should.
    confidence = np.where(right, generator.beta(8, 1.5, count), generator.beta(4, 2, count))
    embedding = generator.normal(size=(count, DIMENSIONS))
    embedding[:, 0] += world.embedding
    embedding[:, 1:6] += 2 * np.eye(len(LABELS))[label]
    measures = {"brightness": brightness, "confidence": confidence}
    return Photographs(label, len(LABELS), measures, right, embedding)


def life(world: World, seed: int) -> tuple[Photographs, list[Photographs]]:
    """A reference and its windows; the change comes in window `CHANGED_AT`."""
    generator = np.random.default_rng(seed)
    worlds = [World()] * CHANGED_AT + [world] * (WINDOWS - CHANGED_AT)
    reference = photographs(World(), REFERENCE, generator)
    return reference, [photographs(each, SIZE, generator) for each in worlds]


def measure() -> str:
    """The table: each detector on lives without a change, and with each of the changes."""

    def table() -> Iterator[str]:
        yield HEADER
        for change, world in CHANGES.items():
            changed = world != World()
            lives = [life(world, seed) for seed in range(CHANGED_LIVES if changed else LIVES)]
            yield from rows(change, lives, CHANGED_AT if changed else None)

    return "\n".join(table())
