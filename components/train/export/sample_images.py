"""The photographs that further forms are calibrated on, and those they are compared on."""

import numpy as np

from components.train.data.batches import WorkerShard, evaluation_stream, training_stream
from components.train.export.runtime_client import Images
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph

CALIBRATION_IMAGES = 200
COMPARISON_IMAGES = 100

_DRAWN_CELLS = 8


def calibration_images(source: TransformedExamples, graph: TransformGraph, seed: int) -> Images:
    """Some training photographs, drawn at random, as the network sees them but not augmented.

    Args:
        source: Transformed examples that hold pixels.
        graph: The graph that gave them.
        seed: Seed of the draw.

    Returns:
        uint8 [N, H, W, 3].
    """
    count = min(CALIBRATION_IMAGES, source.counts["train"])
    stream = training_stream(source, graph, WorkerShard(count), seed)
    images, _ = next(stream.as_numpy_iterator())
    return np.asarray(images, np.uint8)


def comparison_images(source: TransformedExamples, graph: TransformGraph, seed: int) -> Images:
    """Some test photographs, spread evenly over the split.

    Where the split is empty they are of the validation split; where the records hold embeddings,
    which no form takes, they are drawn patterns, on which forms have to agree just as well.

    Args:
        source: Transformed examples.
        graph: The graph that gave them.
        seed: Seed of the patterns.

    Returns:
        uint8 [N, H, W, 3].
    """
    if source.embeddings is not None:
        return _patterns(graph.image_size, seed)
    split = "test" if source.counts.get("test") else "valid"
    count = min(COMPARISON_IMAGES, source.counts[split])
    stride = source.counts[split] // count
    # The share of one of as many workers as there are photographs to pass over.
    share = WorkerShard(count * stride, workers=stride, replicas=stride)
    images, *_ = next(evaluation_stream(source, graph, split, share).as_numpy_iterator())
    return np.asarray(images, np.uint8)


def _patterns(size: tuple[int, int], seed: int) -> Images:
    """Coloured cells with noise over them: noise alone looks like one grey to a network."""
    generator = np.random.default_rng(seed)
    rows, columns = (np.arange(length) * _DRAWN_CELLS // length for length in size)
    shape = (COMPARISON_IMAGES, _DRAWN_CELLS, _DRAWN_CELLS, 3)
    cells = generator.integers(0, 208, shape, np.uint8)[:, rows][:, :, columns]
    patterns: Images = cells + generator.integers(0, 48, cells.shape, np.uint8)
    return patterns
