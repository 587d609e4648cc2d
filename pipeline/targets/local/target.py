"""This machine as a place to run: `darkroom run`."""

from collections.abc import Callable
from typing import Any

from darkroom.errors import SettingsError
from pipeline.config import Config
from pipeline.steps import Step
from pipeline.target import ClusterClient


class LocalTarget:
    """This machine; see `pipeline.target.Target`."""

    name = "local"
    is_cluster = False

    def check(self, config: Config) -> None:
        """Everything that runs anywhere runs here."""

    def build(self, config: Config, step: Step, component: Any) -> Callable[..., Any]:  # noqa: ARG002
        """The step's own component."""
        made: Callable[..., Any] = component
        return made

    def apply_resources(self, task: Any, config: Config, step: Step) -> None:
        """Resources are a cluster's matter."""

    def client(self, config: Config) -> ClusterClient:  # noqa: ARG002
        """Refuses: a run here has no client."""
        raise SettingsError("--target local has no cluster: darkroom run runs here")


TARGET = LocalTarget()
