"""What a training is: settings, labels, data and network; it resumes no other's checkpoint."""

import hashlib
from collections.abc import Sequence
from typing import Any

from components.train.settings import TrainSettings
from darkroom.artifacts.data_root import RECORDS
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph

MAY_CHANGE = frozenset(
    {
        "strategy",
        "jit_compile",
        "checkpoints",
        "checkpoint_steps",
        "tensorboard",
        "export",
        "calibration",
        "decision",
    }
)
"""Settings that do not change a training's result, only where it runs and what it writes."""
_HEAD_BYTES = 2**16


def training_identity(
    source: TransformedExamples,
    graph: TransformGraph,
    settings: TrainSettings,
    warm_start: bool,
    variables: Sequence[Any] = (),
) -> dict[str, Any]:
    """Identifies a training by settings, labels and data, so that it resumes no other's checkpoint.

    Args:
        source: Transformed examples. They may be too many to read, so a shard is identified by
            its size and first bytes, or what is in a store by its digest, and all of them by mean
            and variance of the pixels.
        graph: The graph that gave them.
        settings: The train step's settings.
        warm_start: Whether it starts from a former model's weights.
        variables: The network's variables, whose number and shapes are part of it.

    Returns:
        JSON values by name.
    """
    data = hashlib.sha256(repr((graph.pixel_mean, graph.pixel_variance)).encode())
    if RECORDS in source.manifest:
        data.update(str(source.manifest["digest"]).encode())
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
        "network": hashlib.sha256(repr([tuple(v.shape) for v in variables]).encode()).hexdigest(),
    }
