"""What the caches of ingest go by, as a Kubeflow component."""


def fingerprint(
    data: str,
    settings: dict,  # type: ignore[type-arg]
) -> str:
    """Digests what ingest is about to read, without opening a photograph."""
    arguments = locals().copy()
    from components.ingest.data_version.data_version import fingerprint
    from darkroom.runtime.run_step import run_step

    return run_step(fingerprint, **arguments)
