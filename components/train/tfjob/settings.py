"""Settings of a training on several machines."""

from typing import Any

import pydantic

from darkroom.settings import Settings


class JobSettings(Settings):
    """The job, as `darkroom compile` writes it down."""

    manifest: dict[str, Any]
    """The TFJob, but for its name and the arguments of its containers."""
    shared_folder: str
    """Folder on a volume that this step and every worker has."""
    interval: float = 10.0
    """Seconds between looks at the job."""

    @pydantic.field_validator("manifest", mode="before")
    @classmethod
    def _with_whole_numbers(cls, manifest: Any) -> Any:
        # A pipeline's parameters know no whole numbers, and Kubernetes takes no 2.0 for 2.
        return whole_numbers(manifest)


def whole_numbers(value: Any) -> Any:
    """A JSON value whose numbers without a fraction are whole.

    >>> whole_numbers({"replicas": 2.0, "names": ["a"]})
    {'replicas': 2, 'names': ['a']}
    """
    if isinstance(value, dict):
        return {key: whole_numbers(part) for key, part in value.items()}
    if isinstance(value, list):
        return [whole_numbers(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
