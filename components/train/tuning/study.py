"""The study: all trials of a search, stored in an SQLite file."""

import contextlib
import csv
import fcntl
import io
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.train.tuning.settings import TuneSettings
from components.train.tuning.space import distributions
from darkroom.errors import SettingsError, StepError
from darkroom.storage.atomic import write_text

STUDY_FILE = "study.db"
TRIALS_FILE = "trials.csv"

_log = logging.getLogger("darkroom.tune")

_NAME = "darkroom"
_IDENTITY = "identity"
_ERROR = "error"
_CONTINUES, _ATTEMPT = "continues", "attempt"
_MOST_ATTEMPTS = 3


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks a study's folder: another process would take a running trial for a killed one.

    Raises:
        StepError: Another process holds the lock, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise StepError(f"cannot write a study to {folder}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StepError(
                f"another process is tuning in {folder}: wait for it, or end it"
            ) from None
        except OSError:
            pass  # mounted buckets do not support locks
        yield


class Study:
    """A new or resumed study, in a folder that is `locked`.

    Args:
        folder: The study's folder.
        settings: The tune step's settings.
        identity: Space, metric, train settings and data, by name; JSON values.

    Raises:
        SettingsError: The folder holds another study.
        StepError: The study's file is damaged.
    """

    def __init__(self, folder: Path, settings: TuneSettings, identity: Mapping[str, Any]) -> None:
        self._folder, self._settings = folder, settings
        self._study = _open(folder, settings)
        self._check(json.loads(json.dumps(identity)))
        self._enqueue_killed_trials()

    @property
    def finished(self) -> list[Any]:
        """The finished trials (optuna.trial.FrozenTrial): complete, pruned or failed."""
        return [t for t in self._study.trials if t.state.is_finished() and not _is_lost(t)]

    @property
    def best(self) -> Any | None:
        """The best complete trial (optuna.trial.FrozenTrial); None before the first."""
        from optuna.trial import TrialState

        complete = [t for t in self._study.trials if t.state is TrialState.COMPLETE]
        sign = -1 if self._settings.direction == "maximize" else 1
        return min(complete, key=lambda t: (sign * t.value, t.number), default=None)

    def next_trial(self) -> Any:
        """Samples the next trial (optuna.trial.Trial), or resumes one that was killed."""
        from optuna.samplers import TPESampler

        # A new sampler each time, so that an interrupted study samples what an uninterrupted would.
        self._study.sampler = TPESampler(seed=self._settings.seed + len(self.finished))
        trial = self._study.ask(distributions(self._settings.space))
        former = trial.user_attrs.get(_CONTINUES)
        self._reported: set[int] = set()
        if former is not None:
            _log.info("trial %d resumes trial %d, which was killed", trial.number, former)
            for epoch, value in self._values_of(former).items():
                self.report(trial, epoch, value)
        return trial

    def report(self, trial: Any, epoch: int, value: float) -> bool:
        """Records a trial's value after an epoch, and says whether to end the trial there."""
        if epoch not in self._reported:
            trial.report(value, epoch)
            self._reported.add(epoch)
        return bool(trial.should_prune())

    def _values_of(self, number: int) -> dict[int, float]:
        """Values by epoch of a killed trial, and of those that resumed it."""
        found: dict[int, float] = {}
        for trial in self._study.trials:
            if number in (trial.number, trial.user_attrs.get(_CONTINUES)):
                found |= trial.intermediate_values
        return found

    def checkpoint_folder(self, trial: Any) -> Path:
        """The folder of a trial's checkpoint, or of the killed trial's that it resumes."""
        number = trial.user_attrs.get(_CONTINUES, trial.number)
        return self._folder / "checkpoints" / f"{number:04d}"

    def end_trial(self, trial: Any, value: float | None, error: str | None = None) -> Any:
        """Records a trial's end, and removes its checkpoint.

        Args:
            trial: The trial.
            value: Its value; None if it was pruned or failed.
            error: Why it failed, in one line; None if it did not fail.

        Returns:
            The recorded trial (optuna.trial.FrozenTrial).
        """
        from optuna.trial import TrialState

        if error is not None:
            trial.set_user_attr(_ERROR, error)
            ended = self._study.tell(trial, state=TrialState.FAIL)
        elif value is None:
            ended = self._study.tell(trial, state=TrialState.PRUNED)
        else:
            ended = self._study.tell(trial, value)
        shutil.rmtree(self.checkpoint_folder(trial), ignore_errors=True)
        self._write_table()
        return ended

    def _write_table(self) -> None:
        """Writes `trials.csv`: a row per trial, a column per setting."""
        names = list(self._settings.space)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            ["trial", "state", self._settings.metric, "epochs", "seconds", *names, _ERROR]
        )
        for trial in self.finished:
            seconds = trial.duration.total_seconds() if trial.duration else 0.0
            writer.writerow(
                [
                    *(trial.number, trial.state.name.lower(), trial.value, trial.last_step or 0),
                    *(round(seconds, 1), *(trial.params.get(name) for name in names)),
                    trial.user_attrs.get(_ERROR, ""),
                ]
            )
        write_text(self._folder / TRIALS_FILE, text.getvalue())

    def _check(self, identity: dict[str, Any]) -> None:
        theirs = self._study.user_attrs.get(_IDENTITY)
        if theirs is None:
            self._study.set_user_attr(_IDENTITY, identity)
        elif theirs != identity:
            names = ", ".join(_differences(theirs, identity))
            raise SettingsError(
                f"the study in {self._folder} is another one ({names}): choose another "
                "folder, or delete that study"
            )

    def _enqueue_killed_trials(self) -> None:
        """Enqueues trials that were killed, to be run again with the same settings."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            attempt = trial.user_attrs.get(_ATTEMPT, 1)
            if attempt < _MOST_ATTEMPTS:
                former = trial.user_attrs.get(_CONTINUES, trial.number)
                attributes = {_CONTINUES: former, _ATTEMPT: attempt + 1}
                self._study.enqueue_trial(trial.params, user_attrs=attributes)
            else:
                _log.warning("trial %d was killed %d times: not run again", trial.number, attempt)
            self._study.tell(trial.number, state=TrialState.FAIL)


def _open(folder: Path, settings: TuneSettings) -> Any:
    import optuna
    import sqlalchemy

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = folder / STUDY_FILE
    pruner: Any = optuna.pruners.NopPruner()
    if settings.pruning == "median":
        # Epochs count from 1; pruning may begin at the one after the warm-up.
        pruner = optuna.pruners.MedianPruner(settings.startup_trials, settings.warmup_epochs + 1)
    try:
        return optuna.create_study(
            storage=f"sqlite:///{file.absolute()}",
            study_name=_NAME,
            direction=settings.direction,
            pruner=pruner,
            load_if_exists=True,
        )
    except sqlalchemy.exc.DatabaseError as error:
        reason = str(error.orig or error).splitlines()[0]
        raise StepError(f"cannot use {file} ({reason}): delete it to tune from the start") from None


def _is_lost(trial: Any) -> bool:
    """Whether a trial was killed: it failed without a recorded error."""
    from optuna.trial import TrialState

    return trial.state is TrialState.FAIL and _ERROR not in trial.user_attrs


def _differences(theirs: Mapping[str, Any], ours: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name in sorted({*theirs, *ours}):
        there, here = theirs.get(name), ours.get(name)
        if isinstance(there, dict) and isinstance(here, dict):
            found += _differences(there, here, f"{prefix}{name}.")
        elif there != here:
            found.append(f"{prefix}{name} {there} there, {here} here")
    return found
