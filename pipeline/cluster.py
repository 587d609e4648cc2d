"""Settings of the cluster: which images run the steps, on what machines."""

import re
from typing import Self

import pydantic

from components.artifacts.settings import Settings, nearest

STEPS = ("ingest", "transform", "train", "evaluate", "push")
"""The steps of the graph, in order."""
TUNE = "tune"
"""The step that comes before `train` where the config has its section; it runs in train's image."""


class ResourceSettings(Settings):
    """What one step asks for on a cluster; nothing of it matters here."""

    cpu: str | None = None
    """CPU limit, such as `4` or `500m`."""
    memory: str | None = None
    """Memory limit, such as `16Gi`."""
    accelerator: str | None = None
    """`nvidia.com/gpu` on Kubeflow; on Vertex a type such as `NVIDIA_TESLA_T4`."""
    accelerator_count: int = pydantic.Field(default=1, ge=1)
    """Number of accelerators, where one is named."""
    machine: str = "n1-standard-8"
    """Vertex's name of the machine of a tuning job's trials; a pipeline's steps get one that has
    what they ask for."""

    @pydantic.field_validator("accelerator")
    @classmethod
    def _check_accelerator(cls, name: str | None) -> str | None:
        # kfp takes any text here, and the run then waits for ever for a machine.
        if name is not None and not re.fullmatch(r"[a-z.]+/[a-z0-9-]+|[A-Z0-9_]+", name):
            raise ValueError("expected nvidia.com/gpu (Kubeflow) or NVIDIA_TESLA_T4 (Vertex)")
        return name


class ClusterSettings(Settings):
    """How a compiled pipeline runs on Kubeflow or Vertex."""

    registry: str = ""
    """Where the images were pushed, such as `europe-docker.pkg.dev/my-project/darkroom`."""
    tag: str = "0.1.0"
    """Tag of the images."""
    images: dict[str, str] = pydantic.Field(default_factory=dict)
    """Whole image name by step, for steps that do not use `registry` and `tag`."""
    resources: dict[str, ResourceSettings] = pydantic.Field(default_factory=dict)
    """CPU, memory and accelerators by step."""

    @pydantic.model_validator(mode="after")
    def _check_steps(self) -> Self:
        for step in [*self.images, *self.resources]:
            if step not in (*STEPS, TUNE):
                raise ValueError(f"no step is called '{step}'{nearest(step, (*STEPS, TUNE))}")
        return self

    def image(self, step: str) -> str:
        """The image that runs a step."""
        if step == TUNE and step not in self.images:
            return self.image("train")
        prefix = f"{self.registry.rstrip('/')}/" if self.registry else ""
        return self.images.get(step, f"{prefix}darkroom-{step}:{self.tag}")
