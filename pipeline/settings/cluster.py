"""Settings of the cluster: the images that run the steps, and the machines."""

import functools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import pydantic

from darkroom.artifacts.provenance import IMAGE_VARIABLE
from darkroom.errors import SettingsError
from darkroom.settings import Settings, nearest, validate_settings
from darkroom.storage.atomic import os_reason
from pipeline.settings.pods import PodSettings
from pipeline.settings.resources import ResourceSettings
from pipeline.steps import configured_steps, step_named, worker_images

DEFAULT = "default"
"""In place of a step's name: what holds for every step that does not say otherwise."""


class KubeflowSettings(Settings):
    """Where Kubeflow Pipelines is, and as whom runs happen there."""

    host: str = ""
    """Address of the API, such as `https://kubeflow.example.com/pipeline`."""
    token_file: str | None = None
    """File with the bearer token that the API takes; read again for every command."""
    namespace: str = ""
    """Namespace of the runs, where Kubeflow has several users."""
    experiment: str = "darkroom"
    """Experiment that holds the runs; made where it is missing."""
    pipeline_root: str = ""
    """Where artifacts go, such as `minio://mlpipeline/v2/artifacts`; the cluster's own if empty."""
    service_account: str = ""
    """Kubernetes service account of the steps; the cluster's own if empty."""
    time_zone: str = "UTC"
    """Time zone of all the cluster's schedules: what its `CRON_SCHEDULE_TIMEZONE` says."""
    pods: dict[str, PodSettings] = pydantic.Field(default_factory=dict)
    """Node pools, secrets, volumes and labels by step; `default` holds for every step, but for
    the keys that a step has itself."""
    shared_folder: str = pydantic.Field(default="", pattern=r"^(/.+)?$")
    """Folder through which the workers of a training get its examples and give its model: on a
    volume that `pods.train.volumes` mounts and that several nodes can write (ReadWriteMany).
    Needed where `cluster.workers` is more than 1."""


_FORMS = {
    "pipeline_root": (
        r"gs://[a-z0-9][a-z0-9._-]+(/.*)?",
        "a folder such as gs://my-bucket/darkroom",
    ),
    "network": (r"projects/\d+/global/networks/[a-z0-9-]+", "projects/NUMBER/global/networks/NAME"),
    "encryption_key": (
        r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+",
        "projects/P/locations/L/keyRings/R/cryptoKeys/K",
    ),
    "experiment": (r"[a-z0-9][a-z0-9-]{0,127}", "lower-case letters, digits and -"),
}


class VertexSettings(Settings):
    """Which Google Cloud project runs Vertex pipelines, and as whom."""

    project: str = ""
    """Project id."""
    location: str = "europe-west4"
    """Region."""
    endpoint: str = ""
    """Address of the API where Private Service Connect gives it one; the region's own if empty."""
    pipeline_root: str = ""
    """Folder of a bucket for artifacts, such as `gs://my-bucket/darkroom`."""
    service_account: str = ""
    """E-mail of the account that the steps run as; the project's default if empty."""
    network: str = ""
    """VPC network to peer with, `projects/NUMBER/global/networks/NAME`; none if empty."""
    encryption_key: str = ""
    """Customer-managed key, `projects/P/locations/L/keyRings/R/cryptoKeys/K`; none if empty."""
    labels: dict[str, str] = pydantic.Field(default_factory=dict)
    """Labels of every run, for finding them and for billing."""
    experiment: str = ""
    """Vertex AI experiment that submitted runs are put into, made where it is missing; none if
    empty. Vertex puts the runs of schedules into none."""

    @pydantic.field_validator(*_FORMS)
    @classmethod
    def _check_form(cls, text: str, info: pydantic.ValidationInfo) -> str:
        # A compiled pipeline is sent long after it was made, and Vertex's own words come then.
        pattern, example = _FORMS[str(info.field_name)]
        if text and not re.fullmatch(pattern, text):
            raise ValueError(f"expected {example}")
        return text

    @pydantic.field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for key, text in labels.items():
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}:[a-z0-9_-]{0,63}", f"{key}:{text}"):
                raise ValueError(f"{key}: {text}: up to 63 lower-case letters, digits, _ and -")
        return labels


class ClusterSettings(Settings):
    """How a compiled pipeline runs on Kubeflow or Vertex."""

    registry: str = ""
    """Where the images were pushed, such as `europe-docker.pkg.dev/my-project/darkroom`."""
    tag: str = "0.1.0"
    """Tag of the images, where their digests are not known."""
    images_file: Path | None = None
    """What `docker buildx bake --push --metadata-file FILE` wrote: the compiled pipeline then
    names images by their digests, so that it keeps running the same code."""
    images: dict[str, str] = pydantic.Field(default_factory=dict)
    """Whole image name by step, such as `registry.example/train@sha256:...`; it goes before
    `registry`, `tag` and `images_file`."""
    resources: dict[str, ResourceSettings] = pydantic.Field(default_factory=dict)
    """Machine, accelerators, retries, time limit and cache by step; `default` holds for every
    step, but for the keys that a step has itself."""
    workers: int = pydantic.Field(default=1, ge=1)
    """Machines that train together, each with what `resources.train` asks for: a custom job with
    worker pools on Vertex, a TFJob on Kubeflow."""
    data_root: str | None = pydantic.Field(default=None, min_length=1)
    """URI of a folder for examples and transformed examples, such as `gs://my-bucket/darkroom`,
    which all steps read from there. Unset: they are artifacts like all others, which Kubeflow
    copies into every step that reads them; beyond some 10 GB that takes longer than the step.
    Vertex mounts the bucket, and needs none."""
    kfp: KubeflowSettings = KubeflowSettings()
    """Where Kubeflow is, and what its pods need."""
    vertex: VertexSettings = VertexSettings()
    """Where Vertex is."""

    @pydantic.model_validator(mode="after")
    def _check_steps(self) -> Self:
        names = [step.name for step in configured_steps()]
        _check_names(self.images, (*names, *worker_images()))
        _check_names([*self.resources, *self.kfp.pods], (*names, DEFAULT))
        return self

    def image(self, step: str) -> str:
        """The image that runs a step.

        Raises:
            SettingsError: `images_file` cannot be read.
        """
        if step in self.images:
            return self.images[step]
        if step not in worker_images() and (own := step_named(step).component_name) != step:
            return self.image(own)
        prefix = f"{self.registry.rstrip('/')}/" if self.registry else ""
        name = f"darkroom-{step}"
        pushed = pushed_images(self.images_file) if self.images_file else {}
        if step not in pushed:
            return f"{prefix}{name}:{self.tag}"
        repository, digest = pushed[step]
        return f"{prefix + name if prefix else repository}@{digest}"

    def resources_of(self, step: str) -> ResourceSettings:
        """What a step asks for; one in another's image what that asks for, unless it says more.

        A variable tells the step its image, for the manifests of what it makes.
        """
        asked = _settings_of(ResourceSettings, self.resources, step, "cluster.resources")
        environment = {IMAGE_VARIABLE: self.image(step), **asked.environment}
        return asked.model_copy(update={"environment": environment})

    def pod_of(self, step: str) -> PodSettings:
        """A step's pod on Kubeflow; that of a step in another's image as the other's."""
        return _settings_of(PodSettings, self.kfp.pods, step, "cluster.kfp.pods")

    def without_node(self, pod: PodSettings) -> PodSettings:
        """The same pod on any node that is good for every step."""
        every = self.kfp.pods.get(DEFAULT, PodSettings())
        node = {"node_selector": every.node_selector, "tolerations": every.tolerations}
        return pod.model_copy(update=node)


StepSettings = TypeVar("StepSettings", bound=Settings)


def _settings_of(
    model: type[StepSettings], by_step: Mapping[str, StepSettings], step: str, section: str
) -> StepSettings:
    """A step's settings, its own keys over those of `default`."""
    own = step if step in by_step else step_named(step).component_name
    values: dict[str, Any] = {}
    for name in (DEFAULT, own):
        given = by_step.get(name)
        values |= {key: getattr(given, key) for key in given.model_fields_set} if given else {}
    return validate_settings(model, values, f"{section}.{own}")


def _check_names(given: Iterable[str], valid: Sequence[str]) -> None:
    for step in given:
        if step not in valid:
            raise ValueError(f"no step is called '{step}'{nearest(step, valid)}")


_DIGEST, _NAME = "containerimage.digest", "image.name"


@functools.cache
def pushed_images(file: Path) -> Mapping[str, tuple[str, str]]:
    """Reads what `docker buildx bake --push --metadata-file FILE` wrote.

    Args:
        file: The file: a JSON object with the digest and the name of every component's image.

    Returns:
        Repository and digest by component, such as
        `{"train": ("registry.example/darkroom-train", "sha256:...")}`.

    Raises:
        SettingsError: The file does not exist, or is no such file.
    """
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        entries = {name: entry for name, entry in document.items() if _DIGEST in entry}
        # Several names of one image are listed with commas.
        images = {
            name: (_repository(entry[_NAME].split(",")[0]), entry[_DIGEST])
            for name, entry in entries.items()
            if entry.get(_NAME)
        }
    except OSError as error:
        reason = os_reason(error)
    except (ValueError, TypeError, AttributeError):
        reason = "it is no JSON that `docker buildx bake --metadata-file` wrote"
    else:
        if images:
            return images
        reason = "it names no image that was pushed: build with `docker buildx bake --push`"
    raise SettingsError(f"cluster.images_file {file}: {reason}") from None


def _repository(name: str) -> str:
    """An image's name without its tag or digest; a registry's port is no tag."""
    name = name.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]
