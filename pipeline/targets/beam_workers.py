"""Beam's workers on other machines: the image that they run, and the project that they are in."""

from collections.abc import Sequence

from darkroom.beam.options import option_values, remote_runner
from pipeline.config import Config
from pipeline.settings.cluster import ClusterSettings
from pipeline.steps import STEPS


def with_workers(config: Config) -> Config:
    """The config with what a Beam runner on a cluster needs to be told of the cluster.

    Args:
        config: The config; what its `beam_options` say themselves stays.

    Raises:
        SettingsError: `cluster.images_file` cannot be read.
    """
    sections = {}
    for step in STEPS:
        if step.worker_image:
            settings = getattr(config, step.name)
            options = _settled(settings.beam_options, config.cluster, step.worker_image)
            sections[step.name] = settings.model_copy(update={"beam_options": options})
    return config.model_copy(update=sections)


def _settled(options: Sequence[str], cluster: ClusterSettings, worker: str) -> tuple[str, ...]:
    runner = remote_runner(options)
    if runner is None:
        return tuple(options)
    given = option_values(options)
    known = {}
    if runner == "DataflowRunner":
        known["sdk_container_image"] = cluster.image(worker)
        if cluster.vertex.project:
            known |= {"project": cluster.vertex.project, "region": cluster.vertex.location}
    elif given.get("environment_type", "DOCKER") == "DOCKER" and not any(
        name.startswith("environment_option") for name in given
    ):
        known["environment_config"] = cluster.image(worker)
    return (*options, *(f"--{name}={known[name]}" for name in known if name not in given))
