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


class KubeflowSettings(Settings):
    """Where Kubeflow Pipelines is, and as whom runs happen there."""

    host: str = ""
    """Address of the API, such as `https://kubeflow.example.com/pipeline`."""
    token_file: str | None = None
    """File with the bearer token that the API takes; read anew for every command."""
    namespace: str = ""
    """Namespace of the runs, where Kubeflow has several users."""
    experiment: str = "darkroom"
    """Experiment that holds the runs; made where it is missing."""
    pipeline_root: str = ""
    """Where artifacts go, such as `minio://mlpipeline/v2/artifacts`; the cluster's own if empty."""
    service_account: str = ""
    """Kubernetes service account of the steps; the cluster's own if empty."""


class VertexSettings(Settings):
    """Which Google Cloud project runs Vertex pipelines, and as whom."""

    project: str = ""
    """Project id."""
    location: str = "europe-west4"
    """Region."""
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
    kfp: KubeflowSettings = KubeflowSettings()
    """Where Kubeflow is."""
    vertex: VertexSettings = VertexSettings()
    """Where Vertex is."""

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
