"""The transform step as a Kubeflow component."""

from kfp.dsl import Artifact, Dataset, Input, Output


def transform(
    examples: Input[Dataset],
    settings: dict,  # type: ignore[type-arg]
    transform_graph: Output[Artifact],
    transformed_examples: Output[Dataset],
) -> None:
    """Fits the preprocessing graph on the training split and applies it to every split."""
    arguments = locals().copy()
    from components.transform.transform import transform
    from darkroom.runtime.run_step import run_step

    run_step(transform, **arguments)
