"""How every trigger starts a run: list the photographs, decide, claim, submit."""

import dataclasses
import datetime
import hashlib
import tempfile
from pathlib import Path

from components.ingest.settings import IngestSettings
from darkroom.durations import seconds
from darkroom.errors import DarkroomError, SettingsError
from pipeline.compiler import compile_pipeline
from pipeline.config import Config, TriggerSettings
from pipeline.target import ClusterClient, Run, Target, TransientError
from pipeline.triggers.claims import ABANDONED_AFTER, ClaimLog, RunClaim
from pipeline.triggers.store import Store

_RUNS_LOOKED_AT = 20
"""The last ones of a cluster, among which the run of a start that broke off is looked for."""


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
    return Store(f"{folder.rstrip('/')}/{config.name}")


def start_if_due(
    config: Config,
    cluster: ClusterClient,
    target: Target,
    store: Store,
    quality: str = "",
    key: str = "",
) -> TriggerResult:
    """Starts a run if one is due; of several triggers at once, one starts it.

    Args:
        config: The validated config.
        cluster: Where runs go.
        target: What to compile for.
        store: What all triggers of the pipeline share.
        quality: What is wrong with the model in production, where that is what triggers.
        key: What is asked for, where somebody may ask for it again: it gets one run.

    Returns:
        Why a run started, or why none did.

    Raises:
        SettingsError: The config does not do for it.
        StepError: The data cannot be listed, or the cluster refuses; the next trigger tries again.
    """
    settings = trigger_settings(config)
    starts = ClaimLog(store)
    if key and (run := _known_run(starts, key, config, cluster)) is not None:
        return TriggerResult("it has its run already", run)
    photographs = photograph_marks(config)
    now = datetime.datetime.now(datetime.UTC)
    last = starts.last(now)
    new = len(photographs - starts.seen_photographs(last))
    decision = decide(settings, new, last, now, quality)
    if not decision.due:
        return TriggerResult(decision.reason)
    start = starts.claim(decision.reason, photographs, last, now, key)
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


def _known_run(starts: ClaimLog, key: str, config: Config, cluster: ClusterClient) -> Run | None:
    """The run that was started for a key; None if there is none."""
    start = starts.of_key(key)
    if start is None:
        return None
    if start.run:
        return cluster.run(start.run)
    if start.is_active(datetime.datetime.now(datetime.UTC)):
        return None  # somebody may be starting it: the decision says so
    # Whoever claimed it died, and may have submitted it before.
    for run in cluster.runs(config.name, _RUNS_LOOKED_AT):
        is_its = start.time <= run.created < start.time + ABANDONED_AFTER
        if is_its and starts.started_by(run.id) is None:
            starts.started(start, run.id)
            return run
    return None


def _submitted(config: Config, cluster: ClusterClient, target: Target) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / f"{config.name}.yaml"
        compile_pipeline(config, target, package)
        return cluster.submit(package, config.name, config.arguments(), caching=True)


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether a run starts, and why or why not.

    Attributes:
        due: Whether it does.
        reason: In words.
    """

    due: bool
    reason: str


def decide(
    settings: TriggerSettings,
    new_photographs: int,
    last: RunClaim | None,
    now: datetime.datetime,
    quality: str = "",
) -> Decision:
    """Decides whether a run is due.

    Args:
        settings: The config's `trigger`.
        new_photographs: Photographs that came or changed since the last start.
        last: The last start, if any.
        now: The time.
        quality: What is wrong with the model in production, in words; "" if nothing is known.
    """
    if last is not None:
        interval = datetime.timedelta(seconds=seconds(settings.minimum_interval))
        said = f"the last run started less than {settings.minimum_interval} ago"
        if not last.run:
            interval = ABANDONED_AFTER
            said = (
                f"a trigger is starting a run since {_utc(last.time)}, and no cluster has answered"
            )
        next_time = last.time + interval
        if now < next_time:
            return Decision(False, f"{said}; the next may at {_utc(next_time)}")
    if quality:
        return Decision(True, quality)
    said = f"{new_photographs:,} new photographs"
    if new_photographs < settings.minimum_new_photographs:
        return Decision(False, f"{said}, and {settings.minimum_new_photographs:,} are needed")
    return Decision(True, said)


def _utc(time: datetime.datetime) -> str:
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")


def photograph_marks(config: Config) -> frozenset[int]:
    """A mark of 64 bits for every photograph of a config's data; none is opened.

    A photograph has another mark when its name, label, size or time of writing changed.

    Raises:
        SettingsError: The data cannot be read.
        StepError: There is no photograph in it, or a table does not parse.
    """
    from components.ingest.fingerprint import photograph_states

    return frozenset(
        int.from_bytes(hashlib.blake2b(state.encode(), digest_size=8).digest())
        for state in photograph_states(config.data, config.section(IngestSettings))
    )
