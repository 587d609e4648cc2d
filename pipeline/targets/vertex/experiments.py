"""Runs in Vertex AI Experiments, whose console sets their metrics and parameters side by side.

An experiment is a context of Vertex ML Metadata, and a run is in it once the context that Vertex
makes of the run is a child of it. Vertex takes metrics from the run's `Metrics` artifacts.
"""

import contextlib
import logging
import time
from typing import Any

from google.api_core import exceptions
from google.cloud.aiplatform_v1.types import Context, PipelineJob

from darkroom.errors import StepError
from pipeline.target import ENDED
from pipeline.targets.vertex.api import CALL_SECONDS, Api
from pipeline.targets.vertex.runs import get, state_of

CONTEXT_SECONDS = 60.0
"""How long Vertex is given to make a run's context, which it does as it starts the run."""

_SCHEMA, _VERSION = "system.Experiment", "0.0.1"

_log = logging.getLogger("darkroom")


def add_to_experiment(api: Api, run_id: str, experiment: str) -> None:
    """Puts a run into an experiment, which is made if it does not exist.

    The run goes on whatever happens here: where it cannot be put there, a warning says so.

    Args:
        api: Where the run is.
        run_id: Its id.
        experiment: Name of the experiment.
    """
    try:
        run_context = _context_of(api, run_id)
        name = api.call(lambda: _find_or_make(api, run_context, experiment))
        api.call(
            lambda: api.metadata.add_context_children(
                context=name, child_contexts=[run_context], timeout=CALL_SECONDS
            )
        )
    except StepError as error:
        _log.warning("run %s is not in experiment %s: %s", run_id, experiment, error)


def _context_of(api: Api, run_id: str) -> str:
    """The resource name of the context that Vertex made of a run."""
    deadline = time.monotonic() + CONTEXT_SECONDS
    while True:
        job: PipelineJob = get(api, run_id)
        if job.job_detail.pipeline_run_context.name:
            return str(job.job_detail.pipeline_run_context.name)
        if state_of(job) in ENDED:
            raise StepError(f"it was {state_of(job)} before Vertex had started it")
        if time.monotonic() > deadline:
            raise StepError(
                f"Vertex has not started it within {CONTEXT_SECONDS:.0f} s; "
                "it can be added in the console, under Experiments"
            )
        time.sleep(1.0)


def _find_or_make(api: Api, run_context: str, experiment: str) -> str:
    """The resource name of an experiment in the metadata store that a run's context is in."""
    store = run_context.partition("/contexts/")[0]
    name = f"{store}/contexts/{experiment}"
    try:
        found = api.metadata.get_context(name=name, timeout=CALL_SECONDS)
    except exceptions.NotFound:
        return _make(api, store, experiment)
    if found.schema_title != _SCHEMA:
        raise StepError(f"'{experiment}' is a {found.schema_title}, choose another name")
    return name


def _make(api: Api, store: str, experiment: str) -> str:
    context: Any = Context(
        display_name=experiment,
        schema_title=_SCHEMA,
        schema_version=_VERSION,
        # Consoles leave out what was deleted; without the mark they do not show it at all.
        metadata={"experiment_deleted": False},
    )
    # Another run may have made it meanwhile, or the answer to this one's call was lost.
    with contextlib.suppress(exceptions.AlreadyExists):
        api.metadata.create_context(
            parent=store, context=context, context_id=experiment, timeout=CALL_SECONDS
        )
    return f"{store}/contexts/{experiment}"
