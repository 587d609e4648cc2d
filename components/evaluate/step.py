"""The evaluate step as a Kubeflow component."""

from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output


def evaluate(
    examples: Input[Dataset],
    model: Input[Model],
    settings: dict,  # type: ignore[type-arg]
    champion: Input[Model],
    evaluation: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    classification: Output[ClassificationMetrics],
) -> str:
    """Measures a model, beside the one that serves, and says `blessed` or `not blessed`."""
    arguments = locals().copy()
    from components.evaluate.consoles import log_metrics
    from components.evaluate.evaluate import evaluate
    from darkroom.runtime.run_step import run_step

    consoles = arguments.pop("metrics"), arguments.pop("classification")
    verdict = run_step(evaluate, **arguments)
    log_metrics(evaluation.path, *consoles)
    return verdict
