"""The train step: transformed examples to a model with its serving signatures."""

import logging
from pathlib import Path
from typing import Any

from components.artifacts import model as model_format
from components.artifacts.backbones import RANDOM
from components.artifacts.manifest import folder_digest, write_json, write_manifest, written_aside
from components.artifacts.transformed import (
    TransformedExamples,
    TransformGraph,
    read_transform_graph,
    read_transformed_examples,
)
from components.train.settings import TrainSettings

_log = logging.getLogger("darkroom.train")

BEST_WEIGHTS = "best.weights.h5"


def train(
    transformed_examples: Path,
    transform_graph: Path,
    settings: TrainSettings,
    *,
    model: Path,
    checkpoints: Path,
) -> dict[str, Any]:
    """Trains a classifier and exports it with its serving signatures.

    Args:
        transformed_examples: The examples that transform wrote.
        transform_graph: The graph that transform fitted.
        settings: What is trained, and how.
        model: Output: a SavedModel directory with `labels.txt` and `history.json`.
        checkpoints: Output: the best weights; kept even when the step fails later.

    Returns:
        The history's entry of the best epoch.

    Raises:
        SettingsError: The weights file does not exist.
        StepError: Weights that do not fit, images too small, an empty split, or a loss that is
            not a number.
    """
    source = read_transformed_examples(transformed_examples)
    graph = read_transform_graph(transform_graph)
    checkpoints.mkdir(parents=True, exist_ok=True)
    best_weights = checkpoints / BEST_WEIGHTS
    history = _fit(source, graph, settings, best_weights)
    best: dict[str, Any] = history["epochs"][history["best_epoch"] - 1]
    _log.info("best epoch %d: valid accuracy %.3f", best["epoch"], best["val_accuracy"])
    with written_aside(model) as aside:
        _export(graph, settings, best_weights, aside)
        write_json(aside / model_format.HISTORY_FILE, history)
        content = {
            "labels": list(graph.labels),
            "image_size": list(graph.image_size),
            "digest": folder_digest(aside),
            "best_epoch": best["epoch"],
            "settings": settings.model_dump(mode="json"),
        }
        write_manifest(aside, model_format.KIND, content)
    return best


def _fit(
    source: TransformedExamples, graph: TransformGraph, settings: TrainSettings, best_weights: Path
) -> dict[str, Any]:
    from components.train.fitting import fit
    from components.train.network import build_network
    from components.train.strategy import build_strategy

    strategy = build_strategy(settings.strategy)
    _log.info(
        "%s on %d device(s), %s training photographs",
        *(settings.backbone, strategy.num_replicas_in_sync, f"{source.counts['train']:,}"),
    )
    with strategy.scope():
        network = build_network(settings, graph, settings.weights)
    return fit(network, source, graph, settings, best_weights, strategy)


def _export(graph: TransformGraph, settings: TrainSettings, best_weights: Path, to: Path) -> None:
    """Exports a network built anew, outside any strategy, so that nothing of one is saved."""
    from components.train.export import export
    from components.train.network import build_network

    network = build_network(settings, graph, weights=RANDOM)
    network.model.load_weights(best_weights)
    export(network.embedding, graph, to)
