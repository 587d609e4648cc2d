"""The tune step as a Kubeflow component."""

from kfp.dsl import Artifact, Dataset, Input, Output


def tune(
    transformed_examples: Input[Dataset],
    transform_graph: Input[Artifact],
    settings: dict,  # type: ignore[type-arg]
    train: dict,  # type: ignore[type-arg]
    study: Output[Artifact],
) -> dict:  # type: ignore[type-arg]
    """Searches for the settings to train with."""
    arguments = locals().copy()
    from components.train.tuning.tune import tune
    from darkroom.runtime.run_step import run_step

    return run_step(tune, **arguments)
