"""The Protocols of a place to run: `Target` to compile for it, `ClusterClient` to command it.

Each folder of `pipeline/targets` is one, and offers it as `TARGET` of its module `target`.
"""

import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from darkroom.errors import StepError
from pipeline.config import Config
from pipeline.steps import Step

State = Literal["pending", "running", "succeeded", "failed", "cancelled", "skipped", "cached"]
"""Where a run or a step stands; only a step is `skipped` or `cached`."""


class TransientError(StepError):
    """The cluster did not answer, or was busy: the same call may do later."""


@dataclasses.dataclass(frozen=True)
class StepState:
    """A step of a run.

    Attributes:
        name: The step's name in the graph, such as `train`.
        state: Its state.
        started: When it began; None before.
        finished: When it ended; None before.
        error: What the cluster says of its failure, or ""; of a step that has not ended, why it
            cannot proceed.
    """

    name: str
    state: State
    started: datetime.datetime | None = None
    finished: datetime.datetime | None = None
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Run:
    """A run on a cluster.

    Attributes:
        id: The cluster's identifier, which the other calls take.
        name: Its name for people.
        state: Its state.
        address: The page that shows it.
        created: When it was submitted.
        finished: When it ended; None before.
        steps: Its steps, as far as the cluster knows them; in a list of runs, none.
        error: What the cluster says of its failure, or "".
    """

    id: str
    name: str
    state: State
    address: str
    created: datetime.datetime
    finished: datetime.datetime | None = None
    steps: tuple[StepState, ...] = ()
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Recurrence:
    """When a schedule starts runs.

    Attributes:
        cron: Five fields: minute, hour, day of month, month, day of week.
        time_zone: An IANA name, such as `Europe/Zurich`.
        max_concurrency: Runs of it at a time.
        catch_up: Whether runs missed while it was paused are made up for.
    """

    cron: str
    time_zone: str = "UTC"
    max_concurrency: int = 1
    catch_up: bool = False


@dataclasses.dataclass(frozen=True)
class Schedule:
    """A schedule on a cluster.

    Attributes:
        id: The cluster's identifier.
        name: Its name, which it is found by.
        recurrence: When it starts runs.
        paused: Whether it is paused.
        pipeline: The pipeline it runs, as compiled: IR as a mapping.
        arguments: Values of the pipeline's parameters.
        managed: Whether Darkroom made it.
        run_identity: As whom its runs happen and where they leave what they make, in the words
            of the cluster's settings; what is left to the cluster may be missing.
    """

    id: str
    name: str
    recurrence: Recurrence
    paused: bool
    pipeline: Mapping[str, Any]
    arguments: Mapping[str, Any]
    managed: bool
    run_identity: Mapping[str, str] = dataclasses.field(default_factory=dict)


class ClusterClient(Protocol):
    """A cluster that runs compiled pipelines.

    Every method raises a StepError of one line for what the cluster refuses, naming the fix.
    """

    @property
    def run_identity(self) -> Mapping[str, str]:
        """What `Schedule.run_identity` is to be by the settings; only what they say."""

    def submit(self, package: Path, name: str, arguments: Mapping[str, Any], caching: bool) -> Run:
        """Starts a run of a compiled pipeline."""

    def run(self, run_id: str) -> Run:
        """A run with its steps, as it stands now."""

    def runs(self, name: str, limit: int) -> Sequence[Run]:
        """The last runs of a pipeline, newest first."""

    def cancel(self, run_id: str) -> None:
        """Ends a run."""

    def retry(self, run_id: str) -> Run:
        """Runs a failed run's failed steps again; what succeeded is kept."""

    def log_tail(self, run_id: str, step: str, lines: int) -> list[str]:
        """The last lines a step printed, as far as they can be read from here."""

    def schedule(
        self, package: Path, name: str, arguments: Mapping[str, Any], recurrence: Recurrence
    ) -> Schedule:
        """Creates the schedule of that name, or changes it in place."""

    def schedules(self) -> Sequence[Schedule]:
        """All schedules."""

    def pause(self, name: str, paused: bool) -> None:
        """Pauses or resumes a schedule."""

    def delete(self, name: str) -> None:
        """Removes a schedule; its runs stay."""


class Target(Protocol):
    """A place to run a pipeline.

    Attributes:
        name: Its name, as `--target` takes it.
        is_cluster: Whether pipelines are compiled for it, and submitted to it.
    """

    name: str
    is_cluster: bool

    def check(self, config: Config) -> None:
        """Refuses what would fail there, or never start.

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


ENDED: frozenset[State] = frozenset(("succeeded", "failed", "cancelled", "skipped", "cached"))
"""States that nothing follows."""
