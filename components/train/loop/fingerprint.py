"""What a training is, so that it never goes on from the checkpoint of another one."""

import hashlib
from typing import Any

from components.train.settings import TrainSettings
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph

MAY_CHANGE = frozenset(
    {"strategy", "jit_compile", "checkpoints", "checkpoint_steps", "tensorboard", "export"}
)
"""Settings that say where a training runs and what is written, not what comes of it."""

_HEAD_BYTES = 2**16


def training_identity(
    source: TransformedExamples, graph: TransformGraph, settings: TrainSettings, warm_start: bool
) -> dict[str, Any]:
    """Describes a training by settings, labels and data; JSON values.

    Args:
        source: Transformed examples, which may be too many to read them all: shards are told
            apart by their size and first bytes, and together by the moments of all pixels.
        graph: The graph that gave them.
        settings: The train step's settings.
        warm_start: Whether it starts from a former model's weights.
    """
    data = hashlib.sha256(repr((graph.pixel_mean, graph.pixel_variance)).encode())
    for path in sorted(source.folder.glob("*.tfrecord")):
        with path.open("rb") as file:
            data.update(f"{path.name} {path.stat().st_size}\n".encode())
            data.update(file.read(_HEAD_BYTES))
    return {
        "settings": settings.model_dump(mode="json", exclude=set(MAY_CHANGE)),
        "labels": list(graph.labels),
        "multi_label": graph.multi_label,
        "counts": dict(source.counts),
        "data": data.hexdigest()[:16],
        "warm_start": warm_start,
    }
