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
    from components.train.tuning.tune import tune
    from darkroom.runtime.run_step import run_step

    found: dict = run_step(  # type: ignore[type-arg]
        tune,
        transformed_examples=transformed_examples.path,
        transform_graph=transform_graph.path,
        settings=settings,
        train=train,
        study=study.path,
    )
    return found
