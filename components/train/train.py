"""The train step: transformed examples to a model with its serving signatures."""

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Any

from components.train.distribution.strategy import WorkerGroup, dtype_policy, read_worker_group
from components.train.loop.checkpoint import (
    BEST_WEIGHTS,
    checkpoint_folder,
    remove_checkpoint,
)
from components.train.loop.identity import training_identity
from components.train.loop.progress import OnEpoch
from components.train.model.decision import check_decision
from components.train.model.network import (
    check_embeddings,
    former_weights,
    head_network,
    load_former,
)
from components.train.model.phases import plan_phases
from components.train.settings import TrainSettings
from darkroom.artifacts import model as model_format
from darkroom.artifacts.examples import PSEUDO_LABELLED
from darkroom.artifacts.manifest import atomic_artifact, folder_digest, write_manifest
from darkroom.artifacts.model import Decision
from darkroom.artifacts.transformed import (
    TransformedExamples,
    TransformGraph,
    read_transform_graph,
    read_transformed_examples,
)
from darkroom.backbones.weights import RANDOM
from darkroom.runtime.allocator import keep_freed_memory
from darkroom.storage.atomic import write_json

_log = logging.getLogger("darkroom.train")


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
        checkpoints: Output: the best weights and, until the model is written, the checkpoint to
            resume from; both are in `settings.checkpoints` where that is set.

    Where TF_CONFIG names several workers, each of them calls this function; only the chief writes.

    Returns:
        The history's entry of the best epoch.

    Raises:
        SettingsError: The weights file does not exist.
        StepError: Weights that do not fit, images too small, an empty split, a checkpoint of
            another training, a loss that is not a number, or a request to end the process.
    """
    source = read_transformed_examples(transformed_examples)
    graph = read_transform_graph(transform_graph)
    check_decision(settings.decision, graph)
    workers = read_worker_group()
    folder = checkpoint_folder(settings, checkpoints)
    history = train_weights(source, graph, settings, workers, folder)
    best: dict[str, Any] = history["epochs"][history["best_epoch"] - 1]
    if not workers.is_chief:
        return best
    _log.info("best epoch %d: valid accuracy %.3f", best["epoch"], best["val_accuracy"])
    with atomic_artifact(model) as temporary:
        facts = _export(source, graph, settings, folder / BEST_WEIGHTS, temporary)
        if source.pseudo_labelled:
            history[PSEUDO_LABELLED] = source.pseudo_labelled
        write_json(temporary / model_format.HISTORY_FILE, history)
        content = {
            "labels": list(graph.labels),
            "image_size": list(graph.image_size),
            "digest": folder_digest(temporary),
            "best_epoch": best["epoch"],
            "settings": settings.model_dump(mode="json"),
        }
        if graph.preprocessing is not None:
            content["preprocessing"] = dataclasses.asdict(graph.preprocessing)
        write_manifest(temporary, model_format.KIND, content | facts)
    remove_checkpoint(folder)
    if folder != checkpoints:
        checkpoints.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / BEST_WEIGHTS, checkpoints / BEST_WEIGHTS)
    return best


def train_weights(
    source: TransformedExamples,
    graph: TransformGraph,
    settings: TrainSettings,
    workers: WorkerGroup,
    folder: Path,
    on_epoch: OnEpoch | None = None,
) -> dict[str, Any]:
    """Trains a network without exporting it.

    Args:
        source: Transformed examples.
        graph: The graph that gave them.
        settings: What is trained, and how.
        workers: The workers.
        folder: Folder of the checkpoint and the best weights.
        on_epoch: Called after every epoch.

    Returns:
        The history, as `fit` returns it.
    """
    from components.train.distribution.context import TrainingContext
    from components.train.distribution.strategy import build_strategy
    from components.train.loop.trainer import fit
    from components.train.model.network import build_network

    keep_freed_memory()
    if source.embeddings is not None:
        check_embeddings(source.embeddings, settings)
    strategy = build_strategy(settings.strategy, workers)
    _log.info(
        "%s on %d device(s), %s training photographs",
        *(settings.backbone, strategy.num_replicas_in_sync, f"{source.counts.get('train', 0):,}"),
    )
    if source.pseudo_labelled:
        _log.info("of them, %s have labels that a model gave", f"{source.pseudo_labelled:,}")
    former = former_weights(settings, graph)
    with strategy.scope(), dtype_policy(settings.precision):
        network = build_network(settings, graph, RANDOM if former else settings.weights)
        if source.embeddings is not None:
            network = head_network(network)
        warm = former is not None and load_former(
            network.embedding, former, str(settings.from_model)
        )
        identity = training_identity(source, graph, settings, warm, network.model.variables)
        context = TrainingContext(strategy, workers, folder, identity)
        phases = plan_phases(settings, warm)
    return fit(network, source, graph, settings, phases, context, on_epoch)


def _export(
    source: TransformedExamples,
    graph: TransformGraph,
    settings: TrainSettings,
    best_weights: Path,
    to: Path,
) -> dict[str, Any]:
    """Exports a network that is built outside any strategy, so that no part of one is saved.

    Returns:
        Further entries of the manifest.
    """
    from components.train.export.calibration import calibrate, tempered
    from components.train.export.saved_model import Rule, export
    from components.train.export.trained import check_exported, sample
    from components.train.model.decision import choose_decision
    from components.train.model.network import build_network
    from components.train.model.thresholds import choose_thresholds

    if source.embeddings is None:
        network = build_network(settings, graph, weights=RANDOM)
    else:
        network = head_network(build_network(settings, graph, settings.weights))
    network.model.load_weights(best_weights)
    temperature = 1.0
    if settings.calibration == "temperature":
        temperature = calibrate(network.model, source, graph, settings.batch_size)
    thresholds, decision = None, None
    if graph.multi_label:
        thresholds = choose_thresholds(network.model, source, graph, settings.batch_size)
    if settings.decision is not None:
        decision = choose_decision(
            network.model, source, graph, settings.batch_size, settings.decision
        )
    export(network, graph, to, Rule(thresholds, decision))
    head = None if source.embeddings is None else network.model
    check_exported(
        *(to, head, sample(source, graph), best_weights.parent, settings),
        lambda trained: tempered(trained, temperature, graph.multi_label),
    )
    if settings.export:
        from components.train.export.write import write_exports

        write_exports(
            network.embedding, source, graph, settings, to, thresholds or _of_both(graph, decision)
        )
    facts: dict[str, Any] = {"temperature": temperature}
    if decision is not None:
        facts["decision"] = dataclasses.asdict(decision)
    if thresholds is None:
        return facts
    separator = model_format.labels_separator(graph.labels)
    return facts | {"thresholds": list(thresholds), "labels_separator": separator}


def _of_both(graph: TransformGraph, decision: Decision | None) -> tuple[float, ...] | None:
    """A decision as the thresholds of both labels, for forms that give probabilities only."""
    if decision is None:
        return None
    return tuple(
        decision.threshold if label == decision.positive_label else decision.rest_threshold
        for label in graph.labels
    )
