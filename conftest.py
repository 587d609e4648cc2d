"""What the tests of every room share: the photographs and weights laid beside the project."""

import os
from pathlib import Path

import pytest

# Before any test imports TensorFlow, as the steps themselves set it.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SHARED = Path(__file__).resolve().parent.parent / "shared"


def _shared(path: str) -> Path:
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"needs {found}, which is not laid beside the project here")
    return found


@pytest.fixture(scope="session")
def flowers() -> Path:
    """3,483 photographs of tf_flowers, `<label>/*.jpg`."""
    return _shared("data/flowers")


@pytest.fixture(scope="session")
def mobilenet_weights() -> Path:
    """ImageNet weights of MobileNetV2 without top, alpha 0.35."""
    return _shared("weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5")
