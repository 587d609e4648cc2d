"""`python -m components.train.tuning.vertex_trial`: one trial of a Vertex tuning job.

Vertex appends the trial's settings to the command, as `--learning_rate=0.003`, and reads its
reports from a file that it names in the environment. The format of that file is the one that
cloudml-hypertune, Google's discontinued reporter, wrote: one JSON object a line.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from components.train.distribution.strategy import read_worker_group
from components.train.settings import TrainSettings
from components.train.tuning.trial import run_trial
from darkroom.artifacts.transformed import read_transform_graph, read_transformed_examples
from darkroom.errors import DarkroomError, SettingsError
from darkroom.runtime.cli import SETTINGS_HELP
from darkroom.runtime.log import configure_logging, exit_with
from darkroom.settings import parse_value, read_yaml, set_value, validate_settings
from darkroom.storage.atomic import write_text
from darkroom.storage.paths import mounted_path

CHECKPOINTS_VARIABLE = "AIP_CHECKPOINT_DIR"
"""Folder for a trial's checkpoints, which Vertex sets if the job has an output directory."""
FILE_VARIABLE = "CLOUD_ML_HP_METRIC_FILE"
TRIAL_VARIABLE = "CLOUD_ML_TRIAL_ID"
DEFAULT_FILE = "/tmp/hypertune/output.metrics"
MOST_LINES = 100
"""The service uses the last reports only, and reads the complete file each time."""


class Reports:
    """Reports the metric of this process's trial to Vertex.

    Args:
        metric: Id of the metric in the job's study.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric
        self._path = Path(os.environ.get(FILE_VARIABLE, DEFAULT_FILE))
        self._trial = os.environ.get(TRIAL_VARIABLE, "0")
        self._lines: list[str] = []

    def add(self, step: int, value: float) -> None:
        """Reports the metric's value after a step, such as an epoch."""
        # The service expects numbers as text.
        report = {
            "timestamp": time.time(),
            "trial": self._trial,
            self._metric: str(value),
            "global_step": str(step),
        }
        self._lines = [*self._lines, json.dumps(report, sort_keys=True)][-MOST_LINES:]
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self._path, "".join(f"{line}\n" for line in self._lines))


def main(
    context: typer.Context,
    transformed_examples: Annotated[Path, typer.Option()],
    transform_graph: Annotated[Path, typer.Option()],
    settings: Annotated[str, typer.Option(help=SETTINGS_HELP)] = "{}",
    metric: Annotated[str, typer.Option(help="val_accuracy or val_loss")] = "val_accuracy",
) -> None:
    """Trains once, and reports the metric after every epoch; further options are train settings."""
    configure_logging()
    try:
        train_once(transformed_examples, transform_graph, settings, metric, context.args)
    except DarkroomError as error:
        exit_with(error, "trial")


def train_once(
    transformed_examples: Path,
    transform_graph: Path,
    settings: str,
    metric: str,
    options: Sequence[str],
) -> float:
    """Trains with a trial's settings, and reports the metric after every epoch.

    Args:
        transformed_examples: The examples that transform wrote.
        transform_graph: The graph that transform fitted.
        settings: The train step's settings: a file, or JSON.
        metric: Name of the metric to report.
        options: The trial's settings, each `--name=value` with a dotted name.

    Returns:
        The metric at the epoch whose weights training would keep.

    Raises:
        SettingsError, StepError: As `train` raises them.
    """
    values = read_yaml(settings)
    for option in options:
        name, equals, text = option.removeprefix("--").partition("=")
        if not option.startswith("--") or not equals:
            raise SettingsError(f"unknown argument {option}: a trial's settings are --name=value")
        set_value(values, name, parse_value(text))
    train = validate_settings(TrainSettings, values)
    workers = read_worker_group()
    reports = Reports(metric)

    def on_value(epoch: int, value: float) -> None:
        if workers.is_chief:
            reports.add(epoch, value)

    with tempfile.TemporaryDirectory() as temporary:
        folder = mounted_path(os.environ.get(CHECKPOINTS_VARIABLE, temporary))
        return run_trial(
            read_transformed_examples(transformed_examples),
            read_transform_graph(transform_graph),
            train,
            metric,
            Path(folder),
            on_value,
            workers,
        )


def _application() -> Any:
    application = typer.Typer(
        add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    application.command(name="trial", context_settings=passed_on)(main)
    return application


if __name__ == "__main__":
    sys.exit(_application()())
