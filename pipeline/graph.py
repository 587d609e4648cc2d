"""The graph: defined once by the table of steps, executed here and compiled for clusters."""

import dataclasses
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from kfp import dsl
from kfp.dsl.graph_component import GraphComponent

from components.evaluate.settings import EvaluateSettings
from components.train.settings import TrainSettings
from pipeline.config import Config
from pipeline.steps import STEPS, Step
from pipeline.target import Target

BLESSED = "blessed"
"""What the evaluate step returns for a model that may be pushed."""
_RETURNED = "Output"
"""kfp's name of what a step returns."""


@dataclasses.dataclass(frozen=True)
class BuiltStep:
    """A step that is ready to be put into a graph.

    Attributes:
        step: Its row.
        make: Makes its task, when it is called with its inputs.
        inputs: Its inputs by name: whether it does without.
        artifacts: The artifacts that it writes.
    """

    step: Step
    make: Callable[..., Any]
    inputs: Mapping[str, bool]
    artifacts: tuple[str, ...]


def build_pipeline(config: Config, target: Target) -> GraphComponent:
    """Builds the pipeline of a config.

    Its parameters are the config's `data` and step sections; their defaults are the config's
    values, so that a compiled file runs as it is, or with other settings.

    Args:
        config: The validated config.
        target: Where it is to run.

    Returns:
        The pipeline: call it to run here (after `kfp.local.init`), or compile it.
    """
    steps = [step for step in STEPS if config.runs(step, target.is_cluster)]
    last = [step for step in steps if step.at_exit]
    graph = _graph(config, [step for step in steps if not step.at_exit], target)
    if not last:
        return _pipeline(config.name, graph, config.arguments(config.steps))
    (at_exit,) = last
    built = _build(config, at_exit, target)

    def reported(given: Mapping[str, Any]) -> None:
        run = {
            "pipeline": config.name,
            # By itself: within a longer text Kubeflow does not replace it.
            "run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            "host": config.cluster.kfp.host,
        }
        task = built.make(**_inputs(built, dict(given) | run, {}))
        _set_options(task, config, at_exit, target)
        with dsl.ExitHandler(task, name="run"):
            graph(given)

    names = (*config.steps, at_exit.name)
    return _pipeline(config.name, reported, config.arguments(names))


def build_preparation(config: Config, target: Target) -> GraphComponent:
    """Builds the part of a config's pipeline that comes before any training."""
    steps = [step for step in STEPS if step.name in ("ingest", "transform")]
    arguments = config.arguments([step.name for step in steps])
    return _pipeline(config.name, _graph(config, steps, target), arguments)


def _graph(
    config: Config, steps: Iterable[Step], target: Target
) -> Callable[[Mapping[str, Any]], None]:
    """The body of a pipeline: each step with the inputs that those before it made."""
    all_built = [_build(config, step, target) for step in steps]

    def graph(given: Mapping[str, Any]) -> None:
        values, artifacts = dict(given), dict[str, Any]()
        tasks = []

        def add(built: BuiltStep) -> None:
            task = built.make(**_inputs(built, values, artifacts))
            tasks.append((task, built.step))
            artifacts.update({name: task.outputs[name] for name in built.artifacts})
            if built.step.gives:
                values[built.step.gives] = task.outputs[_RETURNED]

        for needs_blessing, group in itertools.groupby(
            all_built, lambda built: built.step.needs_blessing
        ):
            if not needs_blessing or config.job == "predict":  # of a model that serves already
                for built in group:
                    add(built)
                continue
            # Only a step's unnamed output works in a condition of kfp.local; a named one is
            # skipped.
            with dsl.If(values["verdict"] == BLESSED, name=BLESSED):
                for built in group:
                    add(built)
        for task, step in tasks:
            _set_options(task, config, step, target)

    return graph


def _build(config: Config, step: Step, target: Target) -> BuiltStep:
    function, image = step.load_component(), config.cluster.image(step.name)
    component = dsl.component(function, base_image=image, install_kfp_package=False)
    spec = component.component_spec
    return BuiltStep(
        step,
        target.build(config, step, component),
        {name: given.optional for name, given in (spec.inputs or {}).items()},
        tuple(name for name in spec.outputs or {} if name != _RETURNED),
    )


def _set_options(task: Any, config: Config, step: Step, target: Target) -> None:
    if target.is_cluster:
        task.set_caching_options(_is_cached(config, step))
    target.apply_resources(task, config, step)


def _is_cached(config: Config, step: Step) -> bool:
    """Whether a step's outputs follow from its inputs alone, and may be taken from a cache."""
    if not step.caches:
        return False
    if step.name == "train" and config.section(TrainSettings).from_model is not None:
        return False
    if step.name == "evaluate" and config.section(EvaluateSettings).baseline_folder is not None:
        return False
    return config.cluster.resources_of(step.name).cache


def _inputs(
    built: BuiltStep, values: Mapping[str, Any], artifacts: Mapping[str, Any]
) -> dict[str, Any]:
    """A step's inputs by name: artifacts, its own section as `settings`, and other values."""
    inputs: dict[str, Any] = {}
    for name, has_default in built.inputs.items():
        if name == "settings":
            section = built.step.name if built.step.settings else built.step.component_name
            inputs[name] = values[section]
        elif name in artifacts:
            inputs[name] = artifacts[name]
        elif name in values:
            inputs[name] = values[name]
        elif not has_default:
            raise KeyError(f"step {built.step.name}: no step before it gives '{name}'")
    return inputs


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
