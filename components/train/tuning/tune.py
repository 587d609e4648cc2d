"""The tune step: a search for the settings to train with."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from components.train.distribution.strategy import read_worker_group
from components.train.loop.identity import training_identity
from components.train.loop.progress import InterruptedStepError
from components.train.settings import TrainSettings
from components.train.tuning.settings import TuneSettings
from components.train.tuning.space import check_space, with_values
from components.train.tuning.study import Study, locked
from components.train.tuning.trial import run_subprocess_trial
from darkroom.artifacts.manifest import write_manifest
from darkroom.artifacts.transformed import (
    TransformedExamples,
    TransformGraph,
    read_transform_graph,
    read_transformed_examples,
)
from darkroom.errors import SettingsError, StepError
from darkroom.settings import set_value

FAILURES_IN_A_ROW = 3
"""After so many the cause is more than unlucky settings."""

OnBetter = Callable[[TrainSettings], None]
"""Called with the best settings so far, when the study opens and when better ones are found."""

_log = logging.getLogger("darkroom.tune")


def tune(
    transformed_examples: Path,
    transform_graph: Path,
    settings: TuneSettings,
    train: TrainSettings,
    *,
    study: Path,
) -> dict[str, Any]:
    """Searches for the settings to train with; an interrupted search resumes.

    Args:
        transformed_examples: The examples that transform wrote.
        transform_graph: The graph that transform fitted.
        settings: Where to search, how long, and for what.
        train: The train step's settings, which trials use except for those that are searched.
        study: Output: `study.db`, from which a study resumes, and `trials.csv`.

    Returns:
        The train step's settings with the best values in them.

    Raises:
        SettingsError: The space does not fit the train settings, or the folder holds another study.
        StepError: No trial has finished, or the process was asked to end.
    """
    best = run_study(transformed_examples, transform_graph, settings, train, study)
    found = best.model_dump(mode="json", exclude_none=True)
    write_manifest(study, "study", {"metric": settings.metric, "train": found})
    return found


def run_study(
    transformed_examples: Path,
    transform_graph: Path,
    settings: TuneSettings,
    train: TrainSettings,
    folder: Path,
    on_better: OnBetter | None = None,
) -> TrainSettings:
    """Runs trials until their number or the time limit is reached.

    Args:
        transformed_examples: The examples that transform wrote.
        transform_graph: The graph that transform fitted.
        settings: Where to search, how long, and for what.
        train: All other settings.
        folder: The study's folder, of a new study or one to resume.
        on_better: Called with the best settings so far.

    Returns:
        The best settings.

    Raises:
        SettingsError: The space does not fit the train settings, or the folder holds another study.
        StepError: No trial has finished, or the process was asked to end.
    """
    check_space(settings.space, train)
    if read_worker_group().size > 1:
        raise SettingsError(
            "tuning trains on one machine, and TF_CONFIG names several workers: unset it, or tune "
            "on Vertex, where each trial may have several"
        )
    source = read_transformed_examples(transformed_examples)
    graph = read_transform_graph(transform_graph)
    with locked(folder):
        study = Study(folder, settings, _identity(source, graph, settings, train))
        paths = transformed_examples, transform_graph
        return _Tuning(paths, settings, train, study, on_better).run()


class _Tuning:
    def __init__(
        self,
        paths: tuple[Path, Path],
        settings: TuneSettings,
        train: TrainSettings,
        study: Study,
        on_better: OnBetter | None,
    ) -> None:
        self._paths, self._settings = paths, settings
        self._train, self._study, self._on_better = train, study, on_better
        self._shown_best: int | None = None

    def run(self) -> TrainSettings:
        minutes = self._settings.timeout
        until = time.monotonic() + minutes * 60 if minutes is not None else None
        if done := len(self._study.finished):
            _log.info("resumes after %d trials", done)
        self._show_best()
        failures = 0
        while len(self._study.finished) < self._settings.trials:
            if until is not None and time.monotonic() >= until:
                _log.info("stops after %g minutes, as set", minutes)
                break
            error = self._run_trial()
            failures = failures + 1 if error is not None else 0
            if failures == FAILURES_IN_A_ROW:
                raise StepError(f"{failures} trials failed in a row, the last one: {error}")
        best = self._show_best()
        if best is None:
            raise StepError("no trial has finished: increase tune.trials or tune.timeout")
        return best

    def _run_trial(self) -> str | None:
        """Runs the next trial, and returns the error of one that failed."""
        import optuna

        trial = self._study.next_trial()

        def on_value(epoch: int, value: float) -> None:
            if self._study.report(trial, epoch, value):
                raise optuna.TrialPruned

        value: float | None = None
        error: str | None = None
        folder = self._study.checkpoint_folder(trial)
        try:
            settings = with_values(self._train, trial.params)
            value = run_subprocess_trial(
                *(*self._paths, settings, self._settings.metric, folder, on_value)
            )
        except InterruptedStepError:
            raise  # the study resumes with this trial
        except optuna.TrialPruned:
            pass
        except (SettingsError, StepError) as failure:
            error = str(failure)
        self._show(self._study.end_trial(trial, value, error), error)
        self._show_best()
        return error

    def _show(self, trial: Any, error: str | None) -> None:
        values = "  ".join(f"{name} {_short(value)}" for name, value in trial.params.items())
        state = trial.state.name.lower()
        if state == "pruned":
            state += f" at epoch {trial.last_step}"
        value = "" if trial.value is None else f"  {self._settings.metric} {trial.value:.4f}"
        reason = f"  ({error})" if error else ""
        _log.info("trial %d  %s%s  %s%s", trial.number, state, value, values, reason)

    def _show_best(self) -> TrainSettings | None:
        best = self._study.best
        if best is None:
            return None
        settings = with_values(self._train, best.params)
        if best.number != self._shown_best and self._on_better is not None:
            self._on_better(settings)
        self._shown_best = best.number
        return settings


def _identity(
    source: TransformedExamples,
    graph: TransformGraph,
    settings: TuneSettings,
    train: TrainSettings,
) -> dict[str, Any]:
    """What must be the same for trials to be comparable."""
    space = settings.model_dump(mode="json", exclude_defaults=True)["space"]
    identity = training_identity(source, graph, train, warm_start=False)
    del identity["warm_start"]
    for name in settings.space:
        # Trials do not use its value, but those of the space.
        set_value(identity["settings"], name, None)
    return {**identity, "space": space, "metric": settings.metric}


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
