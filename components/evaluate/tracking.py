"""An evaluation as a run of MLflow: its metrics, curves and settings, the report and the card."""

import contextlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.evaluate.report.training import read_history
from components.evaluate.sections import MlflowSettings
from darkroom.artifacts.evaluation import MODEL_CARD_FILE, read_evaluation
from darkroom.artifacts.manifest import PROVENANCE
from darkroom.artifacts.model import read_model
from darkroom.errors import SettingsError

_SECONDS, _RETRIES = "20", "3"
_LONGEST_NAME = 250
_LONGEST = 6000
"""Characters of a parameter's value that MLflow keeps."""
_MOST = 100
"""Parameters or metrics a call."""

_log = logging.getLogger("darkroom.evaluate")


def check_client(settings: MlflowSettings | None) -> None:
    """Checks that the client is installed.

    Raises:
        SettingsError: It is not.
    """
    if settings is None:
        return
    import importlib.util

    if importlib.util.find_spec("mlflow") is None:
        raise SettingsError(
            "setting 'evaluate.mlflow' needs a package that is not installed (mlflow): uv sync "
            "--group evaluate-mlflow, or build the image with EVALUATE_GROUP=evaluate-mlflow"
        )


def log_run(settings: MlflowSettings, model: Path, evaluation: Path, report: Path) -> str | None:
    """Logs an evaluation as a run.

    An evaluation is worth more than its copy: a server that refuses or does not answer costs a
    warning.

    Args:
        settings: Where.
        model: The model.
        evaluation: Its evaluation.
        report: The report.

    Returns:
        The run's id; None if it could not be logged.
    """
    # By default a call is tried for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", _SECONDS)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", _RETRIES)
    try:
        run = _logged(settings, model, evaluation, report)
    except Exception as error:  # of the server's, of the store's, of HTTP's
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        _log.warning("not logged to MLflow at %s: %s", settings.tracking_uri, reason)
        return None
    _log.info("run %s of MLflow at %s", run, settings.tracking_uri)
    return run


def _logged(settings: MlflowSettings, model: Path, evaluation: Path, report: Path) -> str:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=settings.tracking_uri)
    provenance = read_evaluation(evaluation).manifest.get(PROVENANCE, {})
    experiment = _experiment(client, settings.experiment)
    run = client.create_run(experiment, run_name=provenance.get("run"))
    identity: str = run.info.run_id
    try:
        _fill(client, identity, model, evaluation, report)
    except Exception:
        with contextlib.suppress(Exception):
            client.set_terminated(identity, "FAILED")
        raise
    client.set_terminated(identity)
    return identity


def _fill(client: Any, identity: str, model: Path, evaluation: Path, report: Path) -> None:
    """Logs parameters, tags, metrics and artifacts of a run that was created."""
    from mlflow.entities import Param, RunTag

    trained, judged = read_model(model), read_evaluation(evaluation)
    provenance = judged.manifest.get(PROVENANCE, {})
    parameters = {
        "train": trained.manifest.get("settings", {}),
        "evaluate": judged.manifest.get("settings", {}),
    }
    tags = {
        "blessed": str(judged.blessed).lower(),
        "reasons": "; ".join(judged.reasons),
        "model_digest": str(trained.manifest.get("digest")),
        "commit": str(provenance.get("code", {}).get("commit")),
    }
    given = [Param(key, value[:_LONGEST]) for key, value in _flat(parameters)]
    for start in range(0, len(given), _MOST):
        client.log_batch(identity, params=given[start : start + _MOST])
    client.log_batch(identity, tags=[RunTag(key, value) for key, value in tags.items() if value])
    numbers = list(_numbers(model, judged.metrics))
    for start in range(0, len(numbers), _MOST):
        client.log_batch(identity, metrics=numbers[start : start + _MOST])
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        page.write_bytes(report.read_bytes())
        client.log_artifact(identity, str(page))
    client.log_artifact(identity, str(evaluation / MODEL_CARD_FILE))


def _experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    identity: str = found.experiment_id if found else client.create_experiment(name)
    return identity


def _numbers(model: Path, metrics: Mapping[str, float | None]) -> Iterator[Any]:
    """The test metrics, and each epoch's of the training history."""
    import time

    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for name, value in metrics.items():
        if value is not None:
            yield Metric(f"test_{name}", value, now, 0)
    history = read_history(model)
    if history is None:
        return
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        for epoch, value in zip(*history.curve(name), strict=True):
            yield Metric(name, value, now, int(epoch))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings by dotted name; those that are unset are left out."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif value not in (None, "", [], ()):
            # Names of labels may have what MLflow does not take.
            yield re.sub(r"[^/\w.\- ]", "_", f"{prefix}{name}")[:_LONGEST_NAME], str(value)
