"""The graph: defined once, executed here and compiled for clusters."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from pipeline.cluster.settings import NOTIFY
from pipeline.compiling.compiling import Target
from pipeline.compiling.steps import FINGERPRINT, components, settle
from pipeline.config import Config

BLESSED = "blessed"
"""What the evaluate step returns for a model that may be pushed."""


def build_pipeline(config: Config, target: Target | None = None) -> GraphComponent:
    """Builds the pipeline of a config.

    Its parameters are the config's `data` and step sections; their defaults are the config's
    values, so that a compiled file runs as it is, or with other settings.

    Args:
        config: The validated config.
        target: The cluster that it is for; None: this machine.

    Returns:
        The pipeline: call it to run here (after `kfp.local.init`), or compile it.
    """
    steps = components(config, target)

    def graph(given: Mapping[str, Any]) -> None:
        prepared = _prepare(steps, given)
        examples = prepared["ingest"].outputs["examples"]
        transformed = prepared["transform"].outputs
        tasks = prepared
        train_settings = given["train"]
        if config.tune is not None:
            tasks["tune"] = steps["tune"](
                transformed_examples=transformed["transformed_examples"],
                transform_graph=transformed["transform_graph"],
                settings=given["tune"],
                train=given["train"],
            )
            train_settings = tasks["tune"].outputs["Output"]
        tasks["train"] = steps["train"](
            transformed_examples=transformed["transformed_examples"],
            transform_graph=transformed["transform_graph"],
            settings=train_settings,
        )
        model = tasks["train"].outputs["model"]
        evaluated = steps["evaluate"](examples=examples, model=model, settings=given["evaluate"])
        tasks["evaluate"] = evaluated
        # Only a step's unnamed output works in a condition of kfp.local; a named one is skipped.
        with dsl.If(evaluated.outputs["Output"] == BLESSED, name="blessed"):
            tasks["push"] = steps["push"](
                examples=examples,
                model=model,
                evaluation=evaluated.outputs["evaluation"],
                settings=given["push"],
            )
        if target is not None:
            for name, task in tasks.items():
                settle(task, config, name, target)

    if target is None or config.notify is None:
        return _pipeline(config.name, graph, config.arguments())
    cluster = target

    def reported(given: Mapping[str, Any]) -> None:
        task = steps[NOTIFY](
            pipeline=config.name,
            # By itself: within a longer text Kubeflow leaves it as it stands.
            run_id=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            host=config.cluster.kfp.host,
            settings=given[NOTIFY],
        )
        settle(task, config, NOTIFY, cluster)
        with dsl.ExitHandler(task, name="run"):
            graph(given)

    notify = config.notify.model_dump(mode="json", exclude_none=True)
    return _pipeline(config.name, reported, config.arguments() | {NOTIFY: notify})


def build_preparation(config: Config) -> GraphComponent:
    """Builds the part of a config's pipeline that comes before any training."""
    steps = components(config, target=None)
    arguments = config.arguments()
    needed = {name: arguments[name] for name in ("data", "ingest", "transform")}
    return _pipeline(config.name, lambda given: _prepare(steps, given), needed)


def _pipeline(
    name: str, body: Callable[[Mapping[str, Any]], Any], defaults: Mapping[str, Any]
) -> GraphComponent:
    """A pipeline whose parameters are those of a mapping."""

    def darkroom(*values: Any) -> None:
        body(dict(zip(defaults, values, strict=True)))

    darkroom.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=value,
                annotation=type(value),
            )
            for name, value in defaults.items()
        ]
    )
    decorated = dsl.pipeline(name=name, description="Photographs in, a served classifier out.")
    pipeline: GraphComponent = decorated(darkroom)
    return pipeline


def _prepare(steps: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The tasks that make photographs ready to train with."""
    tasks: dict[str, Any] = {}
    source = {"data": given["data"], "settings": given["ingest"]}
    if FINGERPRINT in steps:
        tasks[FINGERPRINT] = steps[FINGERPRINT](**source)
        source["data_fingerprint"] = tasks[FINGERPRINT].outputs["Output"]
    tasks["ingest"] = steps["ingest"](**source)
    tasks["transform"] = steps["transform"](
        examples=tasks["ingest"].outputs["examples"], settings=given["transform"]
    )
    return tasks
