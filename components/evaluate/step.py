"""The evaluate step as a Kubeflow component."""

from kfp.dsl import HTML, Artifact, Dataset, Input, Model, Output


def evaluate(
    examples: Input[Dataset],
    model: Input[Model],
    settings: dict,  # type: ignore[type-arg]
    champion: Input[Model],
    evaluation: Output[Artifact],
    report: Output[HTML],
) -> str:
    """Measures a model, beside the one that serves, and says `blessed` or `not blessed`."""
    arguments = locals().copy()
    from components.evaluate.evaluate import evaluate
    from darkroom.runtime.run_step import run_step

    return run_step(evaluate, **arguments)
