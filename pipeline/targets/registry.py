"""Which class speaks to which cluster: the one place that knows both."""

from pipeline.compiler import Target
from pipeline.config import Config
from pipeline.targets.client import Orchestrator


def cluster_of(config: Config, target: Target) -> Orchestrator:
    """The cluster that a config names, not yet called.

    Args:
        config: The validated config.
        target: `kfp` or `vertex`.

    Raises:
        SettingsError: The config does not say where the cluster is.
    """
    if target == "kfp":
        from pipeline.targets.kubeflow.client import Kubeflow

        cluster: Orchestrator = Kubeflow(config.cluster.kfp)
    else:
        from pipeline.targets.vertex.client import Vertex

        cluster = Vertex(config.cluster.vertex)
    return cluster
