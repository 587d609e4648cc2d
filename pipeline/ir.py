"""A compiled pipeline, read back."""

from pathlib import Path
from typing import Any

import yaml


def read_package(package: Path) -> dict[str, Any]:
    """A compiled pipeline as a mapping.

    A file of two documents, as settings of kfp-kubernetes make it, becomes one mapping with the
    keys `pipeline_spec` and `platform_spec`, as Kubeflow keeps it.
    """
    documents = list(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    if len(documents) == 1:
        return dict(documents[0])
    return dict(zip(("pipeline_spec", "platform_spec"), documents, strict=True))
