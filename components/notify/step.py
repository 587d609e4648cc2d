"""The notify step as a Kubeflow component."""

from kfp.dsl import Artifact, Output, PipelineTaskFinalStatus


def notify(
    pipeline: str,
    run_id: str,
    host: str,
    settings: dict,  # type: ignore[type-arg]
    status: PipelineTaskFinalStatus,
    notified: Output[Artifact],
) -> str:
    """Reports how a run ended, with the address of its report."""
    from components.notify.notify import notify
    from darkroom.runtime.run_step import run_step

    result: str = run_step(
        notify,
        pipeline=pipeline,
        state=status.state or "",
        error=status.error_message or "",
        run=status.pipeline_job_resource_name or "",
        run_id=run_id,
        host=host,
        settings=settings,
        notified=notified.path,
    )
    return result
