"""GPUs and TPUs by one name, as Kubernetes and as Vertex call them."""

import dataclasses
from collections.abc import Mapping

from darkroom.settings import nearest

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
    """An accelerator as Kubernetes knows it; models are told apart by the labels of GKE's nodes.

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
