"""Settings of a step's pod on Kubeflow: where it may run, and what is mounted into it."""

from typing import Literal, Self

import pydantic

from darkroom.settings import Settings


class Toleration(Settings):
    """A taint of nodes that a step may run on nevertheless."""

    key: str = ""
    """The taint's key; empty with `operator: Exists`: every taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Whether the taint's value must be `value`, or may be any."""
    value: str = ""
    """The taint's value."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """The taint's effect; empty: every effect."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if self.operator == "Exists" and self.value:
            raise ValueError("operator Exists takes no value")
        if self.operator == "Equal" and not self.key:
            raise ValueError("key is empty, which needs operator Exists")
        return self


class Secret(Settings):
    """A Kubernetes Secret, as environment variables or as files."""

    name: str = pydantic.Field(min_length=1)
    """The Secret's name, in the namespace of the runs."""
    environment: dict[str, str] = pydantic.Field(default_factory=dict)
    """The Secret's key by environment variable, such as `{AWS_ACCESS_KEY_ID: accesskey}`."""
    mount: str = pydantic.Field(default="", pattern=r"^(/.*)?$")
    """Folder that holds a file for each of its keys."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if bool(self.environment) == bool(self.mount):
            raise ValueError("a secret has either environment or mount")
        return self


class Volume(Settings):
    """A PersistentVolumeClaim that is mounted into a step."""

    claim: str = pydantic.Field(min_length=1)
    """The claim's name, in the namespace of the runs."""
    mount: str = pydantic.Field(pattern=r"^/.+")
    """Folder it is mounted as."""
    folder: str = ""
    """Folder of the volume that is mounted; empty: the whole volume."""


class PodSettings(Settings):
    """A step's pod on Kubeflow."""

    node_selector: dict[str, str] = pydantic.Field(default_factory=dict)
    """Labels that a node must have, such as `{cloud.google.com/gke-nodepool: gpus}`."""
    tolerations: tuple[Toleration, ...] = ()
    """Taints of nodes that the step may run on nevertheless."""
    secrets: tuple[Secret, ...] = ()
    """Secrets, as environment variables or files."""
    volumes: tuple[Volume, ...] = ()
    """Volumes, such as one that holds the photographs."""
    image_pull_secrets: tuple[str, ...] = ()
    """Names of Secrets that open the registry of the step's image."""
    labels: dict[str, str] = pydantic.Field(default_factory=dict)
    """Labels of the pod."""
    annotations: dict[str, str] = pydantic.Field(default_factory=dict)
    """Annotations of the pod."""
