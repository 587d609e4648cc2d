"""Compiles the graph to the file that a cluster runs, and reads such a file."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from components.ingest.settings import IngestSettings
from components.monitor.settings import MonitorSettings
from components.predict.settings import PredictSettings
from components.push.settings import PushSettings
from components.train.settings import TrainSettings
from darkroom.beam.options import option_values, remote_runner
from darkroom.errors import SettingsError
from darkroom.storage.atomic import atomic_file
from darkroom.storage.paths import is_uri
from pipeline.config import Config
from pipeline.settings.cluster import ClusterSettings
from pipeline.steps import STEPS
from pipeline.target import Target


def compile_pipeline(config: Config, target: Target, file: Path) -> None:
    """Compiles the graph to pipeline IR YAML.

    Args:
        config: The validated config, whose values become the parameters' defaults.
        target: The cluster that runs it.
        file: The YAML file to write; one that stands there is replaced when all is well.

    Raises:
        SettingsError: The settings do not fit the target, or the file's name is not YAML's.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise SettingsError(f"--output {file}: the name must end in .yaml")
    _check_target(config, target)
    config = with_workers(config)
    from kfp import compiler

    from pipeline.graph import build_pipeline

    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as temporary:
        compiler.Compiler().compile(build_pipeline(config, target), str(temporary))
        # kfp heads the file with a comment that lists settings in an order new every time; without
        # it equal configs give equal files.
        lines = temporary.read_text(encoding="utf-8").splitlines(keepends=True)
        content = itertools.dropwhile(lambda line: line.startswith("#"), lines)
        temporary.write_text("".join(content), encoding="utf-8")


def _check_target(config: Config, target: Target) -> None:
    """Refuses what would fail on the target, or never start there."""
    cluster, strategy = config.cluster, config.section(TrainSettings).strategy
    if strategy == "multi_worker" and cluster.workers == 1:
        raise SettingsError(
            "train.strategy multi_worker: set cluster.workers to the number of machines, 2 or more"
        )
    if cluster.workers > 1 and strategy not in ("multi_worker", "auto"):
        raise SettingsError(
            f"cluster.workers {cluster.workers}: train.strategy is {strategy}, which "
            "is for one machine; set it to multi_worker"
        )
    target.check(config)


def unreachable(config: Config) -> list[str]:
    """What a run on a cluster could not reach, one line each with the fix.

    An absolute path that is not here may be of a volume that a cluster's machines mount.
    """
    if config.job == "monitor":
        problems = [*_unreachable_places(_of_monitor(config)), *_unreachable_images(config)]
        retrain = config.section(MonitorSettings).retrain
        if retrain is not None and retrain.trigger is None:
            problems.append(
                "monitor.retrain.trigger is not set: on a cluster nobody starts a retraining"
            )
        return problems
    predict = config.optional_section(PredictSettings)
    places = [("predict.data", place, "arrived") for place in (predict.data if predict else ())]
    if config.job == "run" and config.data != "sklearn:digits":
        places.insert(0, ("data", config.data, "flowers"))
    further = config.section(IngestSettings).further_data if config.job == "run" else ()
    places += [("ingest.further_data", place, "production/*.jsonl") for place in further]
    problems = [*_unreachable_places(places), *_unreachable_images(config)]
    if config.section(PushSettings).destination is None:
        problems.append(
            "push.destination is not set: a pushed model stays in the step's own artifact, where "
            "no server looks"
        )
    return problems


Place = tuple[str, str, str]
"""A setting, the path or URI that it names, and what a bucket's folder could be called."""


def _of_monitor(config: Config) -> Iterator[Place]:
    monitor = config.section(MonitorSettings)
    yield "monitor.state", monitor.state, "monitor"
    if monitor.samples is not None:
        yield "monitor.samples", monitor.samples, "samples"
    if monitor.versions is not None:
        yield "monitor.versions", monitor.versions, "served/flowers"
    for place in monitor.predictions:
        yield "monitor.predictions", place, "predicted"
    for place in monitor.labels:
        yield "monitor.labels", place, "labels.csv"
    if monitor.retrain is not None:
        yield "monitor.retrain.dataset", monitor.retrain.dataset, "production"


def _unreachable_places(places: Iterable[Place]) -> Iterator[str]:
    for setting, place, name in places:
        if _is_here(place):
            fix = f"--data gs://bucket/{name}" if setting == "data" else f"gs://bucket/{name}"
            yield f"{setting} {place} is a path of this machine: give a bucket's URI, such as {fix}"


def _unreachable_images(config: Config) -> Iterator[str]:
    cluster = config.cluster
    if not cluster.registry and not cluster.images_file:
        yield (
            "the images have no registry, so that a cluster looks for them on Docker Hub: set "
            "cluster.registry"
        )


def _is_here(location: str) -> bool:
    path = Path(location)
    return not is_uri(location) and (not path.is_absolute() or path.exists())


def with_workers(config: Config) -> Config:
    """The config with what steps, and Beam's runners, need to be told of the cluster.

    Args:
        config: The config; what its `beam_options` and `data_root` say themselves stays.

    Raises:
        SettingsError: `cluster.images_file` cannot be read.
    """
    sections = {}
    for step in STEPS:
        settings = getattr(config, step.name) if step.worker_image else None
        if settings is not None:
            options = _settled(settings.beam_options, config.cluster, step.worker_image)
            known: dict[str, Any] = {"beam_options": options}
            if "data_root" in type(settings).model_fields and settings.data_root is None:
                known["data_root"] = config.cluster.data_root
            sections[step.name] = settings.model_copy(update=known)
    return config.model_copy(update=sections)


def _settled(options: Sequence[str], cluster: ClusterSettings, worker: str) -> tuple[str, ...]:
    runner = remote_runner(options)
    if runner is None:
        return tuple(options)
    given = option_values(options)
    known = {} if cluster.data_root is None else {"temp_location": cluster.data_root}
    if runner == "DataflowRunner":
        known["sdk_container_image"] = cluster.image(worker)
        if cluster.vertex.project:
            known |= {"project": cluster.vertex.project, "region": cluster.vertex.location}
    elif given.get("environment_type", "DOCKER") == "DOCKER" and not any(
        name.startswith("environment_option") for name in given
    ):
        known["environment_config"] = cluster.image(worker)
    return (*options, *(f"--{name}={known[name]}" for name in known if name not in given))


def read_package(package: Path) -> dict[str, Any]:
    """A compiled pipeline as a mapping.

    A file of two documents, as settings of kfp-kubernetes make it, becomes one mapping with the
    keys `pipeline_spec` and `platform_spec`, as Kubeflow keeps it.
    """
    documents = list(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    if len(documents) == 1:
        return dict(documents[0])
    return dict(zip(("pipeline_spec", "platform_spec"), documents, strict=True))
