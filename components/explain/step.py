"""The explain step as a Kubeflow component."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Model, Output


def explain(
    examples: Input[Dataset],
    model: Input[Model],
    report: Input[HTML],
    settings: dict,  # type: ignore[type-arg]
    explanations: Output[Artifact],
    explained_report: Output[HTML],
) -> None:
    """Shows what of each mistaken photograph the model's answer follows from."""
    arguments = locals().copy()
    from components.explain.explain import explain
    from darkroom.runtime.run_step import run_step

    run_step(explain, **arguments)
