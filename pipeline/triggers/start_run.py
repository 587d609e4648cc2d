"""The one way a trigger starts a run: looked at, decided, claimed, submitted."""

import dataclasses
import datetime
import tempfile
from pathlib import Path

from darkroom.errors import DarkroomError, SettingsError
from pipeline.cluster_client import ClusterClient, Run, TransientError
from pipeline.compiler import compile_pipeline
from pipeline.config import Config
from pipeline.settings.trigger import TriggerSettings
from pipeline.target import Target
from pipeline.triggers.claims import ClaimLog
from pipeline.triggers.photographs import photograph_marks
from pipeline.triggers.policy import decide
from pipeline.triggers.store import Store, store_at


@dataclasses.dataclass(frozen=True)
class TriggerResult:
    """What became of a trigger.

    Attributes:
        reason: Why a run started, or why none did.
        run: The run that started; None if none did.
    """

    reason: str
    run: Run | None = None


def trigger_settings(config: Config) -> TriggerSettings:
    """The config's section `trigger`.

    Raises:
        SettingsError: It has none.
    """
    if config.trigger is None:
        raise SettingsError(
            "the config has no section 'trigger': give it one, such as "
            "trigger: {minimum_new_photographs: 200, minimum_interval: 12h}"
        )
    return config.trigger


def trigger_store(config: Config) -> Store:
    """Where the triggers of a pipeline keep what they share.

    Raises:
        SettingsError: The config does not say.
    """
    state = trigger_settings(config).state
    root = config.cluster.vertex.pipeline_root
    if not state and not root:
        raise SettingsError(
            "setting 'trigger.state' is missing: name a folder of a bucket, or of a volume, that "
            "all triggers of the pipeline share"
        )
    folder = state or f"{root.rstrip('/')}/triggers"
    return store_at(f"{folder.rstrip('/')}/{config.name}")


def start_if_due(
    config: Config,
    cluster: ClusterClient,
    target: Target,
    store: Store,
    quality: str = "",
) -> TriggerResult:
    """ClaimLog a run if one is due; of several triggers at once, one starts it.

    Args:
        config: The validated config.
        cluster: Where runs go.
        target: What to compile for.
        store: What all triggers of the pipeline share.
        quality: What is wrong with the model in production, where that is what triggers.

    Returns:
        Why a run started, or why none did.

    Raises:
        SettingsError: The config does not do for it.
        StepError: The data cannot be listed, or the cluster refuses; the next trigger tries again.
    """
    settings = trigger_settings(config)
    starts = ClaimLog(store)
    photographs = photograph_marks(config)
    now = datetime.datetime.now(datetime.UTC)
    last = starts.last(now)
    new = len(photographs - starts.seen_photographs(last))
    decision = decide(settings, new, last, now, quality)
    if not decision.due:
        return TriggerResult(decision.reason)
    start = starts.claim(decision.reason, photographs, last, now)
    if start is None:
        return TriggerResult("another trigger was first")
    try:
        run = _submitted(config, cluster, target)
    except TransientError:
        # It may have started all the same: until the start counts as abandoned, none does again.
        raise
    except DarkroomError:
        starts.give_up(start)
        raise
    starts.started(start, run.id)
    return TriggerResult(decision.reason, run)


def _submitted(config: Config, cluster: ClusterClient, target: Target) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / f"{config.name}.yaml"
        compile_pipeline(config, target, package)
        return cluster.submit(package, config.name, config.arguments(), caching=True)
