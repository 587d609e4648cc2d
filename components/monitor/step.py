"""The monitor step as a Kubeflow component."""

from kfp.dsl import Artifact, Output


def monitor(
    settings: dict,  # type: ignore[type-arg]
    watched: Output[Artifact],
) -> str:
    """Watches a model in production, and says `retrain` or `steady`."""
    arguments = locals().copy()
    from components.monitor.job import monitor
    from darkroom.runtime.run_step import run_step

    return run_step(monitor, **arguments)
