"""How a run here ended, told to those whom the config's `notify` names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.notify.notify import report
from components.notify.outcome import Outcome
from components.notify.settings import NotifySettings, Result
from darkroom.artifacts.evaluation import read_evaluation
from darkroom.runtime.log import configure_logging
from pipeline.config import Config


def report_run(config: Config, run: Mapping[str, Any]) -> None:
    """Tells of a run as the notify step does on a cluster; it fails no run.

    Args:
        config: The run's config.
        run: The run as `run.json` holds it, with the `folder` it is in.
    """
    settings = config.optional_section(NotifySettings)
    if settings is None:
        return
    configure_logging()
    outcome = Outcome(
        pipeline=config.name,
        result=_result(run),
        error=run.get("error", ""),
        page=run["folder"],
        report=run["artifacts"].get("report", ""),
        metrics=run["metrics"],
        reasons=_reasons(run),
        pushed=run["pushed"] or "",
    )
    report(outcome, settings)


def _result(run: Mapping[str, Any]) -> Result:
    if run["status"] != "succeeded":
        return "failed"
    return "succeeded" if run["blessed"] else "not_blessed"


def _reasons(run: Mapping[str, Any]) -> tuple[str, ...]:
    if run["status"] != "succeeded" or run["blessed"]:
        return ()
    return read_evaluation(Path(run["artifacts"]["evaluation"])).reasons
