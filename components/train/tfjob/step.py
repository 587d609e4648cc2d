"""The train step on several machines, as a Kubeflow component."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output


def train(
    transformed_examples: Input[Dataset],
    transform_graph: Input[Artifact],
    settings: dict,  # type: ignore[type-arg]
    job: dict,  # type: ignore[type-arg]
    model: Output[Model],
    checkpoints: Output[Artifact],
) -> None:
    """Trains a classifier on several machines, in a TFJob that this step starts and watches."""
    arguments = locals().copy()
    from components.train.tfjob.train import train
    from darkroom.runtime.run_step import run_step

    run_step(train, **arguments)
