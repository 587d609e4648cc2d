"""The one table of the graph's steps: everything that the pipeline knows of each.

A new step is its component's folder and a row here. Its row's place says when it runs; its
inputs are found by their names: an artifact is the one that a step before it writes by that
name, `settings` is the config's section of the step's own name, and any other parameter is a
section or what a step before it `gives`.
"""

import dataclasses
import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from darkroom.settings import Settings, nearest


@dataclasses.dataclass(frozen=True)
class Step:
    """A step of the graph.

    Attributes:
        name: Its name: that of its function, of its config section and of its log lines.
        component: Its kfp component, as `module:function`.
        settings: The settings model of its config section, as `module:class`; "" where it has
            none of its own.
        about: What it does, for the config's documentation and the command's help.
        image: The component whose image and code it runs in; its own name if "".
        worker_image: The image of its Beam workers on other machines; "" where it has none.
        preloads: Modules that it spends its first seconds with, imported while the step before
            it works.
        gives: What its return value is for later steps: the parameter of that name.
        optional: Whether it runs only where the config has its section.
        own_job: Whether it runs only as a job of its own, never within a run of the graph.
        needs_blessing: Whether it runs only for a model that evaluate blessed.
        cluster_only: Whether it runs on clusters alone.
        at_exit: Whether it runs when the run has ended, however that was.
        caches: Whether its outputs follow from its inputs, and may be those of an earlier run.
        always_runs: Whether not even a run here takes its outcome from an earlier one.
        light: Whether any machine is large enough for it.
    """

    name: str
    component: str
    settings: str = ""
    about: str = ""
    image: str = ""
    worker_image: str = ""
    preloads: tuple[str, ...] = ()
    gives: str = ""
    optional: bool = False
    own_job: bool = False
    needs_blessing: bool = False
    cluster_only: bool = False
    at_exit: bool = False
    caches: bool = True
    always_runs: bool = False
    light: bool = False

    @property
    def component_name(self) -> str:
        """The folder of its code below `components/`, which its image is named after."""
        return self.image or self.name

    @property
    def module(self) -> str:
        """The module of its kfp component, from which all of its code is imported."""
        return self.component.partition(":")[0]

    def load_component(self) -> Callable[..., Any]:
        """The function that kfp makes its component of."""
        function: Callable[..., Any] = _load(self.component)
        return function

    def load_settings(self) -> type[Settings]:
        """The settings model of its section."""
        model: type[Settings] = _load(self.settings)
        return model


STEPS: tuple[Step, ...] = (
    Step(
        "fingerprint",
        "components.ingest.step:fingerprint",
        about="digests the photographs for a cluster's cache",
        image="ingest",
        gives="data_fingerprint",
        cluster_only=True,
        caches=False,  # what is stored at a path may have changed since
        light=True,
    ),
    Step(
        "ingest",
        "components.ingest.step:ingest",
        "components.ingest.settings:IngestSettings",
        about="photographs to split examples",
        worker_image="ingest-worker",
        preloads=(
            "components.ingest.shards.build_examples",
            "components.ingest.validation",
            "jinja2",
        ),
    ),
    Step(
        "transform",
        "components.transform.step:transform",
        "components.transform.settings:TransformSettings",
        about="examples to pixels",
        worker_image="transform-worker",
        preloads=("components.transform.pixels", "components.transform.moments"),
    ),
    Step(
        "tune",
        "components.train.tuning.step:tune",
        "components.train.tuning.settings:TuneSettings",
        about="a search for train's settings",
        image="train",
        preloads=("tensorflow", "keras", "optuna"),
        gives="train",
        optional=True,
    ),
    Step(
        "train",
        "components.train.step:train",
        "components.train.settings:TrainSettings",
        about="pixels to a model",
        preloads=("tensorflow", "keras"),
    ),
    Step(
        "champion",
        "components.push.step:champion",
        about="the model that serves, to compare the new one with",
        image="push",
        caches=False,
        always_runs=True,  # another model may serve by now
    ),
    Step(
        "evaluate",
        "components.evaluate.step:evaluate",
        "components.evaluate.settings:EvaluateSettings",
        about="metrics, slices and the verdict",
        worker_image="evaluate-worker",
        preloads=(
            "components.evaluate.predictions.pipeline",
            "components.evaluate.report.report",
            "altair",
            "cleanlab.filter",
            "scipy.stats",
            "tensorflow",
        ),
        gives="verdict",
    ),
    Step(
        "push",
        "components.push.step:push",
        "components.push.settings:PushSettings",
        about="a blessed model to where it serves",
        preloads=("tensorflow",),
        needs_blessing=True,
        caches=False,  # what serves may have changed since
    ),
    Step(
        "predict",
        "components.predict.step:predict",
        "components.predict.settings:PredictSettings",
        about="the pushed model's answers to many photographs",
        worker_image="predict-worker",
        preloads=("components.predict.predictions", "tensorflow"),
        optional=True,
        needs_blessing=True,
        caches=False,  # more photographs may have come
        always_runs=True,
    ),
    Step(
        "monitor",
        "components.monitor.step:monitor",
        "components.monitor.settings:MonitorSettings",
        about="what has become of the model in production, for the job `monitor`",
        optional=True,
        own_job=True,
        caches=False,  # more answers and labels may have come
        always_runs=True,
    ),
    Step(
        "explain",
        "components.explain.step:explain",
        "components.explain.settings:ExplainSettings",
        about="what of the photographs the worst mistakes follow from",
        preloads=("tensorflow", "saliency.core", "scipy.ndimage"),
        optional=True,
    ),
    Step(
        "notify",
        "components.notify.step:notify",
        "components.notify.settings:NotifySettings",
        about="who hears of the run's result",
        optional=True,
        cluster_only=True,
        at_exit=True,
        caches=False,
        light=True,
    ),
)


def step_named(name: str) -> Step:
    """The row of a step.

    Raises:
        KeyError: No step has that name; the message offers the nearest.
    """
    for step in STEPS:
        if step.name == name:
            return step
    raise KeyError(f"no step is called '{name}'{nearest(name, step_names())}")


def step_names() -> tuple[str, ...]:
    """The names of all steps, in order."""
    return tuple(step.name for step in STEPS)


def configured_steps() -> Iterator[Step]:
    """The steps that have a section in the config, in order."""
    return (step for step in STEPS if step.settings)


def component_names() -> Sequence[str]:
    """The components whose images run steps, in order."""
    return tuple(dict.fromkeys(step.component_name for step in STEPS))


def worker_images() -> Sequence[str]:
    """The images of Beam workers on other machines."""
    return tuple(step.worker_image for step in STEPS if step.worker_image)


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)
