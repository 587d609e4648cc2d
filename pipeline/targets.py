"""Which class speaks to which cluster: the one place that knows both."""

from pipeline.compiling.compiling import Target
from pipeline.config import Config
from pipeline.orchestrator import Orchestrator


def cluster_of(config: Config, target: Target) -> Orchestrator:
    """The cluster that a config names, not yet called.

    Args:
        config: The validated config.
        target: `kfp` or `vertex`.

    Raises:
        SettingsError: The config does not say where the cluster is.
    """
    if target == "kfp":
        from pipeline.kubeflow import Kubeflow

        cluster: Orchestrator = Kubeflow(config.cluster.kfp)
    else:
        from pipeline.vertex import Vertex

        cluster = Vertex(config.cluster.vertex)
    return cluster
