"""The explain step as a Kubeflow component."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output


def explain(
    model: Input[Model],
    images: Input[Dataset],
    settings: dict,  # type: ignore[type-arg]
    explanations: Output[Artifact],
) -> dict:  # type: ignore[type-arg]
    """Shows what of each photograph a model's answer follows from."""
    arguments = locals().copy()
    from components.explain.explain import explain
    from darkroom.runtime.run_step import run_step

    return run_step(explain, **arguments)
