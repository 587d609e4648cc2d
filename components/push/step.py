"""The push step as a Kubeflow component."""

from kfp.dsl import Artifact, Dataset, Input, Model, Output


def push(
    examples: Input[Dataset],
    model: Input[Model],
    evaluation: Input[Artifact],
    statistics: Input[Artifact],
    settings: dict,  # type: ignore[type-arg]
    pushed: Output[Artifact],
) -> None:
    """Checks a blessed model once more and publishes it as the newest version."""
    arguments = locals().copy()
    from components.push.push import push
    from darkroom.runtime.run_step import run_step

    run_step(push, **arguments)


def champion(
    model: Input[Model],
    settings: dict,  # type: ignore[type-arg]
    champion: Output[Model],
) -> None:
    """Takes a copy of the model that serves, for evaluate to compare the new one with."""
    arguments = locals().copy()
    from components.push.champion import champion
    from darkroom.runtime.run_step import run_step

    run_step(champion, **arguments)
