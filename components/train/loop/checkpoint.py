"""Checkpoints: everything a training needs to resume, in one file written atomically."""

import contextlib
import dataclasses
import io
import json
import logging
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.train.distribution.context import TrainingContext, broadcast_from_chief
from components.train.export.trained import PROBABILITIES, write_answers
from components.train.loop.progress import Progress
from components.train.loop.steps import MetricSums
from components.train.settings import TrainSettings
from darkroom.errors import SettingsError, StepError
from darkroom.storage.atomic import atomic_file, os_reason, remove_temporary

FILE = "training.npz"
BEST_WEIGHTS = "best.weights.h5"
"""Weights of the best epoch, as Keras writes them, beside the checkpoint."""
FORMAT = 1
_log = logging.getLogger("darkroom.train")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file.

    Attributes:
        progress: The training's progress.
        values: Values of the network's and then the optimizer's variables, in order.
    """

    progress: Progress
    values: tuple[Any, ...]


def checkpoint_folder(settings: TrainSettings, output: Path) -> Path:
    """The folder of the checkpoint: the one that the settings name, or else the step's output.

    Args:
        settings: The train step's settings.
        output: The step's output folder.

    Raises:
        SettingsError: The bucket is not mounted.
    """
    folder = Path(settings.checkpoints) if settings.checkpoints else output
    if folder.parts[:2] == ("/", "gcs") and not Path(*folder.parts[:3]).is_dir():
        raise SettingsError(
            f"train.checkpoints: {Path(*folder.parts[:3])} is not mounted here; give a folder that "
            "every attempt can reach"
        )
    return folder


def write_checkpoint(folder: Path, identity: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Writes a checkpoint, replacing the one before.

    Args:
        folder: The checkpoint's folder.
        identity: The training's identity, as `training_identity` returns it.
        checkpoint: The checkpoint.

    Raises:
        StepError: The disk is full, or the folder cannot be written.
    """
    import numpy as np

    about = {
        "format": FORMAT,
        "identity": identity,
        "progress": dataclasses.asdict(checkpoint.progress),
    }
    arrays = {f"{number:05d}": value for number, value in enumerate(checkpoint.values)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / FILE) as temporary, temporary.open("wb") as file:
            np.savez(file, about=np.frombuffer(json.dumps(about).encode(), np.uint8), **arrays)
    except OSError as error:
        raise StepError(f"cannot write a checkpoint to {folder}: {error.strerror}") from error


def read_bytes(path: Path) -> bytes | None:
    """Reads a file; None if there is none.

    Raises:
        StepError: The file cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StepError(f"cannot read {path}: {error.strerror}") from None


def parse_checkpoint(content: bytes, folder: Path, identity: Mapping[str, Any]) -> Checkpoint:
    """Parses a checkpoint.

    Args:
        content: The bytes that `read_bytes` returned.
        folder: Their folder, for messages.
        identity: The identity of the training that wants to resume.

    Raises:
        StepError: The file is damaged, or belongs to another training.
    """
    import numpy as np

    path = folder / FILE
    try:
        # Reading verifies the checksum of every array.
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            about = json.loads(file["about"].tobytes())
            values = tuple(file[name] for name in sorted(set(file.files) - {"about"}))
        theirs, progress = about["identity"], about["progress"]
        readable = about["format"] == FORMAT
    except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise StepError(f"the checkpoint {path} is damaged ({reason})") from None
    differences = _differences(theirs, identity) if readable else ["its format"]
    if differences:
        raise StepError(
            f"the checkpoint {path} belongs to another training ({', '.join(differences)})"
        )
    return Checkpoint(_progress(progress), values)


def set_aside(folder: Path) -> None:
    """Renames a checkpoint and its best weights to `unused.*`; earlier ones are replaced."""
    for name in (FILE, BEST_WEIGHTS):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).replace(folder / f"unused.{name}")
    _log.warning("the former checkpoint is kept as %s", folder / f"unused.{FILE}")


def remove_checkpoint(folder: Path) -> None:
    """Removes the checkpoint of a finished training, so that the next one starts from scratch."""
    for name in (FILE, PROBABILITIES):
        (folder / name).unlink(missing_ok=True)


def variable_values(variables: Sequence[Any]) -> tuple[Any, ...]:
    """The values of variables, as numpy arrays."""
    return tuple(variable.numpy() for variable in variables)


def assign_values(variables: Sequence[Any], values: Sequence[Any]) -> None:
    """Assigns values to variables.

    Raises:
        StepError: Their number or shapes differ.
    """
    same = len(variables) == len(values) and all(
        tuple(variable.shape) == value.shape
        for variable, value in zip(variables, values, strict=True)
    )
    if not same:
        raise StepError(
            f"the checkpoint's weights do not fit this network: delete {FILE} to train from the "
            "start"
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _progress(values: dict[str, Any]) -> Progress:
    sums = values["sums"]
    read = MetricSums(**sums | {"measures": tuple(sums["measures"])}) if sums else None
    return Progress(**values | {"epochs": tuple(values["epochs"]), "sums": read})


def _differences(theirs: Any, ours: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Names of the entries that differ, with both values where they are short."""
    found = []
    for name in sorted({*theirs, *ours}):
        there, here = theirs.get(name), ours.get(name)
        if isinstance(there, dict) and isinstance(here, dict):
            found += _differences(there, here, f"{prefix}{name}.")
        elif there != here:
            values = f" {there} there, {here} here"
            found.append(f"{prefix}{name}{values if len(values) < 60 else ''}")
    return found


class CheckpointManager:
    """Reads and writes a training's checkpoint and best weights; only the chief uses the folder.

    Args:
        context: The training context.
        model: The keras.Model that is trained.
        inputs: Photographs whose answers are kept with the best weights.
    """

    def __init__(self, context: TrainingContext, model: Any, inputs: Any) -> None:
        self._context, self._model, self._inputs = context, model, inputs

    def read(self) -> Checkpoint | None:
        """Reads the checkpoint and sends it to every worker; None if there is none.

        One that cannot be used, since it is damaged or of another training, is kept beside under
        another name, and the training starts from the beginning: a schedule has nobody to ask.
        """
        folder, chief = self._context.folder, self._context.workers.is_chief
        checkpoint, content = None, None
        if chief:
            # Left by killed attempts; each file is as large as a checkpoint.
            remove_temporary(folder)
            content = read_bytes(folder / FILE)
        if content is not None:
            try:
                checkpoint = parse_checkpoint(content, folder, self._context.identity)
                self._check_best(checkpoint.progress)
            except StepError as error:
                _log.warning("%s: trains from the start", error)
                set_aside(folder)
                content = None
        content = broadcast_from_chief(content, self._context.workers, self._context.strategy)
        if content is None:
            return None
        return checkpoint or parse_checkpoint(content, folder, self._context.identity)

    def _check_best(self, progress: Progress) -> None:
        """Checks that the best weights are there, unless they are those of the checkpoint."""
        done, best = len(progress.epochs), self._context.folder / BEST_WEIGHTS
        is_last = progress.best_epoch == done and not progress.step
        if progress.best_epoch and not is_last and not best.is_file():
            raise StepError(f"{best} is missing beside its checkpoint")

    def restore(self, checkpoint: Checkpoint, variables: Sequence[Any]) -> None:
        """Assigns the checkpoint's values to variables.

        Raises:
            StepError: The variables differ.
        """
        assign_values(variables, checkpoint.values)
        progress, folder = checkpoint.progress, self._context.folder
        done = len(progress.epochs)
        if not self._context.workers.is_chief:
            return
        moment = f"step {progress.step} of epoch {done + 1}" if progress.step else f"epoch {done}"
        _log.info("resumes after %s, from the checkpoint in %s", moment, folder)
        if progress.best_epoch == done and not progress.step:
            # Perhaps killed before saving the best weights, which are those of the checkpoint.
            self.save_best()

    def save(self, progress: Progress, values: tuple[Any, ...]) -> None:
        """Writes a checkpoint, replacing the one before.

        Raises:
            StepError: The folder cannot be written.
        """
        if self._context.workers.is_chief:
            checkpoint = Checkpoint(progress, values)
            write_checkpoint(self._context.folder, self._context.identity, checkpoint)

    def restore_best(self) -> None:
        """Gives every worker's model the best weights.

        Raises:
            StepError: The file cannot be read.
        """
        best, workers = self._context.folder / BEST_WEIGHTS, self._context.workers
        content = read_bytes(best) if workers.is_chief else None
        content = broadcast_from_chief(content, workers, self._context.strategy)
        if content is None:
            raise StepError(f"{best} is missing: run again to train from the start")
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / BEST_WEIGHTS
            copy.write_bytes(content)
            self._model.load_weights(copy)

    def save_best(self) -> None:
        """Saves the model's weights as the best.

        Raises:
            StepError: The folder cannot be written.
        """
        if not self._context.workers.is_chief:
            return
        best = self._context.folder / BEST_WEIGHTS
        try:
            with atomic_file(best) as temporary:
                self._model.save_weights(temporary)
            write_answers(self._model, self._inputs, self._context.folder)
        except OSError as error:
            raise StepError(f"cannot write {best}: {os_reason(error)}") from error
