"""The train step as a Kubeflow component."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output


def train(
    transformed_examples: Input[Dataset],
    transform_graph: Input[Artifact],
    settings: dict,  # type: ignore[type-arg]
    model: Output[Model],
    checkpoints: Output[Artifact],
) -> None:
    """Trains a classifier and exports it with its serving signatures."""
    arguments = locals().copy()
    from components.train.train import train
    from darkroom.runtime.run_step import run_step

    run_step(train, **arguments)
