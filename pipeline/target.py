"""What the graph, the compiler and the commands ask of a place to run a pipeline.

Each folder of `pipeline/targets` is one, and offers it as `TARGET` of its module `target`.
"""

from collections.abc import Callable
from typing import Any, Protocol

from pipeline.cluster_client import ClusterClient
from pipeline.config import Config
from pipeline.steps import Step


class Target(Protocol):
    """A place to run a pipeline.

    Attributes:
        name: Its name, as `--target` takes it.
        is_cluster: Whether pipelines are compiled for it, and submitted to it.
    """

    name: str
    is_cluster: bool

    def check(self, config: Config) -> None:
        """Refuses what would be wrong there, or wait there for ever.

        Raises:
            SettingsError: The settings do not fit it.
        """

    def build(self, config: Config, step: Step, component: Any) -> Callable[..., Any]:
        """What makes a step's task there: its kfp component, or one that stands for it.

        Args:
            config: The config.
            step: The step's row.
            component: The step's own kfp component.

        Returns:
            Gives the task (kfp.dsl.PipelineTask) when it is called with the step's inputs.
        """

    def apply_resources(self, task: Any, config: Config, step: Step) -> None:
        """Says on a step's task what the step asks for: machine, retries, volumes and the like."""

    def client(self, config: Config) -> ClusterClient:
        """The cluster that a config names, not yet called.

        Raises:
            SettingsError: The config does not say where it is, or this is no cluster.
        """
