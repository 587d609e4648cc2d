"""Settings of one step's resources on a cluster: machine, accelerators, retries, time, cache."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Annotated, Self

import pydantic

from darkroom.durations import Duration
from darkroom.settings import Settings, nearest

Cpu = Annotated[str, pydantic.Field(pattern=r"^(\d*\.)?\d+m?$")]
Memory = Annotated[str, pydantic.Field(pattern=r"^\d+([EPTGMK]i?)?$")]

_SCALES: dict[str, float] = {"m": 1e-3} | {
    f"{letter}{binary}": (1024 if binary else 1000) ** power
    for power, letter in enumerate("KMGTPE", 1)
    for binary in ("", "i")
}
_MACHINE = (
    *("cpu", "cpu_request", "memory", "memory_request"),
    *("accelerator", "accelerator_count", "topology", "machine", "timeout"),
)
"""What matters only to a step that does work of its own."""


class ResourceSettings(Settings):
    """What one step asks for on a cluster; nothing of it matters to `darkroom run`."""

    cpu: Cpu | None = None
    """Most CPUs it may use, such as `4` or `500m`. Vertex picks a machine that has them."""
    cpu_request: Cpu | None = None
    """CPUs that a node must have free for it, on Kubeflow; unset: as many as `cpu`."""
    memory: Memory | None = None
    """Most memory it may use, such as `16Gi`. Vertex picks a machine that has it."""
    memory_request: Memory | None = None
    """Memory that a node must have free for it, on Kubeflow; unset: as much as `memory`."""
    accelerator: str | None = None
    """A model, such as `NVIDIA_TESLA_T4` or `NVIDIA_H100_80GB` (on Kubeflow `nvidia.com/gpu` on a
    node that GKE labels so), or `tpu-v5-lite-podslice` and the like. `nvidia.com/gpu`, or any
    resource of Kubernetes, takes whichever model a node has, and is for Kubeflow alone."""
    accelerator_count: int = pydantic.Field(default=1, ge=1)
    """Number of accelerators, where one is named; chips of a TPU."""
    topology: str | None = pydantic.Field(default=None, pattern=r"^\d+x\d+(x\d+)?$")
    """How a TPU's chips are connected, such as `2x4`."""
    machine: str | None = None
    """Machine type on Vertex, such as `n1-standard-8` or `a3-highgpu-8g`; the step then runs as a
    custom job. Unset: Vertex picks a machine by `cpu`, `memory` and `accelerator`."""
    environment: dict[str, str] = pydantic.Field(default_factory=dict)
    """Environment variables. No secrets here: the compiled file would hold them."""
    retries: int = pydantic.Field(default=0, ge=0, le=10)
    """Times the step is tried again when it fails."""
    retry_after: Duration = "60s"
    """Wait before the first retry: a number and `s`, `m`, `h` or `d`."""
    retry_factor: float = pydantic.Field(default=2.0, ge=1)
    """What every further wait is multiplied by."""
    retry_at_most: Duration = "1h"
    """Longest wait between retries."""
    timeout: Duration | None = None
    """Time after which one try of the step is ended, such as `12h`. Vertex limits custom jobs
    alone, so there the step also needs a `machine`."""
    cache: bool = True
    """Whether the step's outputs are taken from an earlier run of the same image, settings and
    inputs. Ingest's inputs are not its path but a digest of what is stored there (names, sizes,
    times, a table's content; `ingest.previous` and the like too), which a small step computes at
    the beginning of every run: a changed bucket never hits a stale cache. The later steps go by the
    identity of the artifacts before them, which are new whenever ingest ran. The steps `champion`
    and `push` are never taken from a cache, and neither are a `train` that starts `from_model` and
    an `evaluate` whose `baseline` is a folder. An image is told by its name: give digests
    (`cluster.images_file`), or a new `tag` for changed code."""

    @pydantic.field_validator("accelerator")
    @classmethod
    def _check_accelerator(cls, name: str | None) -> str | None:
        # kfp takes any text here, and the run then waits for ever for a machine.
        return None if name is None else checked_accelerator(name)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        for request, limit in (("cpu_request", "cpu"), ("memory_request", "memory")):
            asked, most = getattr(self, request), getattr(self, limit)
            if asked is not None and most is not None and quantity(asked) > quantity(most):
                raise ValueError(f"{request} {asked} is more than {limit} {most}")
        if is_tpu(self.accelerator) != (self.topology is not None):
            raise ValueError("topology and the name of a TPU as accelerator go together")
        return self

    def without_machine(self) -> Self:
        """The same for a step that does no work of its own: wherever there is room."""
        return self.model_copy(
            update={key: type(self).model_fields[key].default for key in _MACHINE}
        )


def quantity(text: str) -> float:
    """The number that a quantity of Kubernetes stands for.

    >>> quantity("500m"), quantity("2Gi")
    (0.5, 2147483648.0)
    """
    number, unit = re.fullmatch(r"([\d.]+)(\D*)", text).groups()  # type: ignore[union-attr]
    return float(number) * _SCALES.get(unit, 1)


GPUS = (
    "NVIDIA_TESLA_P4",
    "NVIDIA_TESLA_P100",
    "NVIDIA_TESLA_V100",
    "NVIDIA_TESLA_T4",
    "NVIDIA_L4",
    "NVIDIA_TESLA_A100",
    "NVIDIA_A100_80GB",
    "NVIDIA_H100_80GB",
    "NVIDIA_H100_MEGA_80GB",
    "NVIDIA_H200_141GB",
    "NVIDIA_B200",
    "NVIDIA_GB200",
    "NVIDIA_RTX_PRO_6000",
)
"""Vertex's names; GKE's labels are the same in lower case, with dashes."""

TPUS = {
    "tpu-v5-lite-podslice": "ct5lp-hightpu-{}t",
    "tpu-v6e-slice": "ct6e-standard-{}t",
    "tpu-v4-podslice": None,
    "tpu-v5p-slice": None,
}
"""GKE's label of each kind of TPU, and Vertex's machine with so many chips; None: Vertex has none
for a training."""
TPU_CHIPS = (1, 4, 8)
"""Chips that a machine of Vertex's has."""

_GPU_LABEL = "cloud.google.com/gke-accelerator"
_TPU_LABEL = "cloud.google.com/gke-tpu-accelerator"
_TOPOLOGY_LABEL = "cloud.google.com/gke-tpu-topology"


@dataclasses.dataclass(frozen=True)
class Device:
    """An accelerator as Kubernetes counts it.

    Attributes:
        resource: The resource that a container asks for, such as `nvidia.com/gpu`.
        labels: Labels that a node must have.
    """

    resource: str
    labels: Mapping[str, str]


def checked_accelerator(name: str) -> str:
    """An accelerator's name as this module's tables have it.

    Args:
        name: A GPU's name in Vertex's spelling or GKE's, a TPU's in GKE's, or any resource of
            Kubernetes, such as `nvidia.com/gpu`.

    Raises:
        ValueError: There is no such accelerator.
    """
    if "/" in name and " " not in name:
        return name
    if name in TPUS:
        return name
    spelled = name.upper().replace("-", "_")
    if spelled not in GPUS:
        offer = nearest(name, TPUS) if name.startswith("tpu") else nearest(spelled, GPUS)
        raise ValueError(f"expected nvidia.com/gpu (Kubeflow) or a model's name{offer}")
    return spelled


def is_tpu(name: str | None) -> bool:
    """Whether an accelerator is one of `TPUS`."""
    return name in TPUS


def kubernetes_device(name: str, topology: str | None = None) -> Device:
    """An accelerator as Kubernetes knows it; models are distinguished by the labels of GKE's nodes.

    Args:
        name: As `checked_accelerator` gives it.
        topology: A TPU slice's, such as `2x4`.
    """
    if "/" in name:
        return Device(name, {})
    if is_tpu(name):
        labels = {_TPU_LABEL: name}
        return Device("google.com/tpu", labels | ({_TOPOLOGY_LABEL: topology} if topology else {}))
    return Device("nvidia.com/gpu", {_GPU_LABEL: name.lower().replace("_", "-")})


def vertex_tpu_machine(name: str, chips: int) -> str:
    """Vertex's machine with so many chips of a TPU.

    Raises:
        ValueError: Vertex has none.
    """
    pattern = TPUS[name]
    if pattern is None:
        known = ", ".join(tpu for tpu, machine in TPUS.items() if machine)
        raise ValueError(f"Vertex trains on no {name}; on {known}")
    if chips not in TPU_CHIPS:
        raise ValueError(f"a machine of Vertex's has 1, 4 or 8 chips of {name}, not {chips}")
    return pattern.format(chips)
