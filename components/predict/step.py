"""The predict step as a Kubeflow component."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output


def predict(
    settings: dict,  # type: ignore[type-arg]
    predictions: Output[Dataset],
    model: Input[Model] = None,
    pushed: Input[Artifact] = None,
) -> None:
    """Asks the pushed model, or the one that the settings name, about many photographs."""
    arguments = locals().copy()
    from components.predict.predict import predict
    from darkroom.runtime.run_step import run_step

    run_step(predict, **arguments)
