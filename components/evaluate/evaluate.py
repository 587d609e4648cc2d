"""The evaluate step: metrics of a model on the test split, a verdict and a report."""

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.evaluate.comparison.champion import Champion, find_champion
from components.evaluate.comparison.compare import ACCURACY, Comparison, compare
from components.evaluate.comparison.decision import if_labels_are_wrong, in_words
from components.evaluate.inputs import (
    check_buckets,
    check_costs,
    check_label,
    check_slices,
    check_thresholds,
)
from components.evaluate.labels.suspects import Suspect, find_suspects, suspects_csv
from components.evaluate.labels.train_labels import find_train_suspects
from components.evaluate.outcome import write_metrics, write_verdict
from components.evaluate.settings import EvaluateSettings
from components.evaluate.strangers import StrangerReport, look_at_strangers, stranger_files
from components.evaluate.tracking import check_client, log_run
from components.evaluate.verdict import Verdict, judge
from darkroom.artifacts import evaluation as evaluation_format
from darkroom.artifacts.examples import Examples, read_examples
from darkroom.artifacts.manifest import atomic_artifact
from darkroom.artifacts.model import Decision, Model, read_model
from darkroom.artifacts.predictions import champion_problem, read_predictions
from darkroom.beam.remote import with_staging_location
from darkroom.errors import SettingsError, StepError
from darkroom.storage.atomic import write_text

if TYPE_CHECKING:
    import pyarrow as pa

    from darkroom.answers.answers import Answers

LOGGED_REASONS = 10

_log = logging.getLogger("darkroom.evaluate")


def evaluate(
    examples: Path,
    model: Path,
    settings: EvaluateSettings,
    champion: Path | None = None,
    *,
    evaluation: Path,
    report: Path,
) -> str:
    """Evaluates a model on the test split; the verdict is `blessed` or `not blessed`.

    A model that passes every threshold, and is no worse than the champion, is blessed; without
    either, any model whose probabilities are numbers.

    Args:
        examples: The examples that ingest wrote; the test split is used.
        model: The model that train exported; its `from_examples` signature is run.
        settings: Slices, thresholds, and how to compare with the champion.
        champion: The model that serves, as the champion step found it; it is run too.
        evaluation: Output: metrics of every slice, the prediction of every image, the verdict.
        report: Output: the same as one self-contained HTML page.

    Returns:
        `blessed` or `not blessed`.

    Raises:
        SettingsError: A slice that the examples do not have, or a threshold they cannot have.
        StepError: An input is missing or incomplete, the test split is empty, the model does not
            know the examples' labels, or it cannot read an image.
    """
    verdict = measure(examples, model, settings, champion, evaluation=evaluation, report=report)
    for reason in verdict.reasons[:LOGGED_REASONS]:
        _log.info("not blessed: %s", reason)
    if len(verdict.reasons) > LOGGED_REASONS:
        _log.info("not blessed: %d more reasons", len(verdict.reasons) - LOGGED_REASONS)
    if settings.mlflow is not None:
        log_run(settings.mlflow, model, evaluation, report)
    if verdict.blessed:
        asked = settings.thresholds or settings.fairness.bounds or verdict.comparison is not None
        _log.info("blessed%s", "" if asked else " (no thresholds are set)")
    return "blessed" if verdict.blessed else "not blessed"


def measure(
    examples: Path,
    model: Path,
    settings: EvaluateSettings,
    champion: Path | None = None,
    *,
    evaluation: Path,
    report: Path,
) -> Verdict:
    """Does what `evaluate` does, and says nothing of the verdict in the log."""
    beam_options = with_staging_location(evaluation, settings.beam_options)
    settings = settings.model_copy(update={"beam_options": beam_options})
    source, candidate = read_examples(examples), read_model(model)
    _check_inputs(source, candidate, settings)
    check_client(settings.mlflow)
    baseline = find_champion(champion, source, candidate, settings)
    with atomic_artifact(evaluation) as temporary:
        verdict, overall = _evaluate_into(temporary, source, candidate, baseline, settings, report)
    _log_accuracy(overall)
    if verdict.comparison is not None and (found := verdict.comparison.of(ACCURACY)):
        _log.info("%s", in_words(found, verdict.comparison.champion))
        if standing := if_labels_are_wrong(verdict.comparison, settings):
            _log.info("%s", standing)
    for doubt in verdict.doubts:
        _log.warning("%s", doubt)
    return verdict


def _log_accuracy(overall: Mapping[str, Any]) -> None:
    low, high = overall["intervals"]["accuracy"]
    _log.info(
        "accuracy %.3f on %s test images (95 %% interval %.3f to %.3f)",
        *(overall["metrics"]["accuracy"], overall["count"], low, high),
    )


def _check_inputs(examples: Examples, model: Model, settings: EvaluateSettings) -> None:
    """Refuses inputs that cannot be evaluated, before the slow imports."""
    check_slices(settings.sliced_columns, examples.columns)
    check_slices(settings.weak_slices.features or (), examples.columns, "weak_slices.features")
    check_slices(settings.fairness.columns, examples.columns, "fairness.columns")
    check_label(settings.fairness.label, model.labels)
    check_buckets(settings.buckets, examples.feature_types)
    check_costs(settings.costs, model.labels)
    if settings.strangers is not None:
        stranger_files(Path(settings.strangers))
    if settings.check_train_labels and examples.multi_label:
        raise SettingsError("setting 'evaluate.check_train_labels' is for images of one label each")
    if examples.multi_label != (model.thresholds is not None):
        names = "one label an image", "several labels an image"
        theirs, its = names[::-1] if examples.multi_label else names
        raise StepError(f"the examples have {theirs}, the model gives {its}; train it again")
    several = model.thresholds is not None
    known = len(model.labels), several, model.decision is not None
    check_thresholds(settings.thresholds, *known)
    check_thresholds(settings.overall_margins, *known, setting="against_baseline")
    if not examples.counts.get("test"):
        raise StepError(
            f"the test split of {examples.folder} is empty; give it a share in ingest.split"
        )
    unknown = [label for label in examples.labels if label not in model.labels]
    if unknown:
        raise StepError(f"the model does not know the label '{unknown[0]}'; train it again")


def _evaluate_into(
    folder: Path,
    examples: Examples,
    model: Model,
    champion: Champion | None,
    settings: EvaluateSettings,
    report: Path,
) -> tuple[Verdict, dict[str, Any]]:
    """Writes the artifact's files, the manifest last, and the report."""
    from components.evaluate.predictions.pipeline import write_predictions

    rival = None if champion is None else champion.model
    write_predictions(examples, model, settings, folder, rival)
    predictions = {split: read_predictions(folder, split) for split in ("test", "valid")}
    for split, found in predictions.items():
        if found.num_rows != (stated := examples.counts.get(split, 0)):
            raise StepError(
                f"the {split} split of {examples.folder} holds {found.num_rows:,} records, where "
                f"its manifest states {stated:,} (a shard is lost, cut or added); ingest again"
            )
    strangers, of_train = None, []
    if settings.strangers is not None:
        strangers = look_at_strangers(Path(settings.strangers), examples, model, predictions)
    if settings.check_train_labels:
        of_train = find_train_suspects(examples, model)
    return judge_predictions(
        *(predictions["test"], examples, model, champion, settings, folder, report),
        strangers=strangers,
        train_suspects=of_train,
    )


def judge_predictions(
    predictions: "pa.Table",
    examples: Examples,
    model: Model,
    champion: Champion | None,
    settings: EvaluateSettings,
    folder: Path,
    report: Path,
    *,
    strangers: StrangerReport | None = None,
    train_suspects: Sequence[Suspect] = (),
) -> tuple[Verdict, dict[str, Any]]:
    """Judges a model by its predictions, and writes all that follows from them.

    Args:
        predictions: Of the test split, as `read_predictions` gives them.
        examples: The examples, for the photographs that the report shows.
        model: The model that gave them.
        champion: The champion that was scored too; None if there is none.
        settings: The evaluate step's settings.
        folder: The artifact that is being written; it may hold predictions of the valid split.
        report: The report.
        strangers: How photographs that show none of the labels fall.
        train_suspects: Training photographs to look at.

    Returns:
        The verdict, and the result of all images.
    """
    from components.evaluate.predictions.answers_of import answers_of
    from components.evaluate.report.report import render_report
    from components.evaluate.slices.fairness import find_gaps
    from components.evaluate.slices.results import compute_results
    from components.evaluate.slices.weak import find_weak_slices

    answers = answers_of(predictions, model, settings)
    results = compute_results(predictions, answers, settings)
    weak = find_weak_slices(predictions, answers.is_right, settings)
    gaps = find_gaps(predictions, answers, settings)
    write_metrics(folder, model, results, weak, gaps, strangers)
    suspects = find_suspects(predictions, model.labels)
    of_valid = find_suspects(read_predictions(folder, "valid"), model.labels)
    write_text(
        folder / evaluation_format.SUSPECTS_FILE,
        suspects_csv([*suspects, *of_valid, *train_suspects]),
    )
    comparison = None
    if champion is not None:
        comparison = _compared(predictions, answers, model, champion, settings, suspects)
    verdict = judge(results, settings, _not_numbers(answers), comparison, gaps)
    page, card = render_report(
        *(predictions, answers, examples, model, settings, results, verdict, suspects, weak, gaps),
        strangers,
        train_suspects,
    )
    write_text(folder / evaluation_format.MODEL_CARD_FILE, card)
    write_verdict(folder, model, settings, results[0], verdict, len(suspects))
    report.parent.mkdir(parents=True, exist_ok=True)
    write_text(report, page)
    return verdict, results[0]


def _compared(
    predictions: "pa.Table",
    answers: "Answers",
    model: Model,
    champion: Champion,
    settings: EvaluateSettings,
    suspects: Sequence[Suspect],
) -> Comparison:
    from components.evaluate.predictions.answers_of import answers_of

    if champion.model is None:
        return Comparison(champion.name, champion.problem)
    if problem := champion_problem(predictions):
        return Comparison(champion.name, problem)
    known = _alike(champion.model, model)
    champions = answers_of(predictions, known, settings, champion=True)
    identities = {suspect.image_id for suspect in suspects}
    found = compare(predictions, champion.name, (answers, champions), settings, identities)
    return dataclasses.replace(found, doubt=champion.doubt)


def _alike(champion: Model, model: Model) -> Model:
    """The champion with its answers in the order of the model's labels, and its positive label.

    It never gives labels that it lacks.
    """
    thresholds = champion.thresholds
    if thresholds is not None:
        known = dict(zip(champion.labels, thresholds, strict=True))
        thresholds = tuple(known.get(label, math.inf) for label in model.labels)
    decision = champion.decision if len(model.labels) == 2 else None
    if model.decision is not None:
        decision = _decided_for(model.decision.positive_label, decision)
    return dataclasses.replace(
        champion, labels=model.labels, thresholds=thresholds, decision=decision
    )


def _decided_for(label: str, decision: Decision | None) -> Decision:
    """How a model of two labels decides, said of one of them."""
    if decision is None:
        return Decision(label, 0.5)
    return (
        decision if decision.positive_label == label else Decision(label, decision.rest_threshold)
    )


def _not_numbers(answers: "Answers") -> int:
    """How many images have a probability that is not a number."""
    import numpy as np

    return int((~np.isfinite(answers.probabilities).all(axis=1)).sum())
