"""The ingest step and its fingerprint as Kubeflow components."""

from kfp.dsl import Artifact, Dataset, Output


def ingest(
    data: str,
    settings: dict,  # type: ignore[type-arg]
    examples: Output[Dataset],
    rejected: Output[Artifact],
    statistics: Output[Artifact],
    data_fingerprint: str = "",
) -> None:
    """Turns labelled photographs into split TFRecord examples.

    `data_fingerprint` is read by a cluster's cache only.
    """
    arguments = locals().copy()
    del arguments["data_fingerprint"]
    from components.ingest.ingest import ingest
    from darkroom.runtime.run_step import run_step

    run_step(ingest, **arguments)


def fingerprint(
    data: str,
    settings: dict,  # type: ignore[type-arg]
) -> str:
    """Digests what ingest is about to read, without opening a photograph."""
    arguments = locals().copy()
    from components.ingest.fingerprint import fingerprint
    from darkroom.runtime.run_step import run_step

    return run_step(fingerprint, **arguments)
