"""A run's config: one YAML file with a section a step, validated before anything runs."""

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import pydantic

from components.monitor.settings import MonitorSettings
from components.predict.settings import PredictSettings
from components.push.settings import PushSettings
from components.push.targets import target_for
from components.train.model.network import check_head_only
from components.train.settings import TrainSettings
from components.train.tuning.settings import TuneSettings
from components.train.tuning.space import check_space
from components.transform.settings import EmbeddingsSettings, TransformSettings
from darkroom.backbones.registry import check_image_size
from darkroom.durations import Duration, seconds
from darkroom.errors import SettingsError
from darkroom.settings import (
    Settings,
    SettingsModel,
    parse_value,
    read_yaml,
    set_value,
    validate_settings,
)
from pipeline.settings.cluster import ClusterSettings
from pipeline.steps import STEPS, Step, configured_steps, step_named

LONGEST_WAIT = 480
"""Seconds that an event may wait: its sender takes no answer after ten minutes for a failure."""


class TriggerSettings(Settings):
    """When new photographs, or a fall in quality, start a run on a cluster."""

    minimum_new_photographs: int = pydantic.Field(default=1, ge=1)
    """Photographs that must have come, or changed, since those that the last run was started
    for. A fall in quality needs none."""
    minimum_interval: Duration = "1h"
    """Time from the start of one run to the start of the next, such as `12h`."""
    debounce: Duration = "2m"
    """How long an event waits for further ones, at most `8m`; all that arrive meanwhile are handled
    once."""
    state: str = ""
    """Folder that all triggers of the pipeline share: a bucket's, or one on a volume that all
    mount. Empty: `triggers` in `cluster.vertex.pipeline_root`."""

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if seconds(self.debounce) > LONGEST_WAIT:
            raise ValueError(f"debounce is {self.debounce}, and may be 8m at most")
        return self


class Config(Settings):
    """Everything about a run; each section's own settings say what their keys do.

    Besides the fields here it has a section for each step that the table of steps has one for:
    `config_model` gives the whole of it.
    """

    name: str = pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    """Names runs, pipelines and the served model; the config file's own name where left out."""
    data: str
    """A folder of label folders, a CSV `image,label[,more]`, JSON Lines, a glob of such tables,
    any of these as a URI, or `sklearn:digits`."""
    job: Literal["run", "predict", "monitor"] = "run"
    """What is run: the whole graph; its step `predict` alone, by the model that serves; or
    `monitor`, which watches that model. For `darkroom schedule --job predict`."""
    trigger: TriggerSettings | None = None
    """When new photographs or a fall in quality start a run; for `darkroom trigger`."""
    cluster: ClusterSettings = ClusterSettings()
    """Images and machines, for Kubeflow and Vertex."""

    def section(self, model: type[SettingsModel]) -> SettingsModel:
        """The section of a step's settings model.

        Raises:
            SettingsError: The config has none.
        """
        found = self.optional_section(model)
        if found is None:
            raise SettingsError(f"the config has no section '{_section_name(model)}'")
        return found

    def optional_section(self, model: type[SettingsModel]) -> SettingsModel | None:
        """The section of a step's settings model; None where the config leaves it out."""
        found: SettingsModel | None = getattr(self, _section_name(model))
        return found

    def arguments(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """The values of the pipeline's parameters: `data`, and a mapping a section.

        Args:
            names: The steps that it has; None: those of a run here.
        """
        # A pipeline's parameters know no null; in our settings it is never but the default.
        sections = {
            name: getattr(self, name).model_dump(mode="json", exclude_none=True)
            for name in (self.steps if names is None else names)
            if step_named(name).settings
        }
        return {"data": self.data, **sections}

    def runs(self, step: Step, on_cluster: bool) -> bool:
        """Whether a step is part of the graph."""
        if self.job != "run":
            return step.name == self.job
        if step.own_job:
            return False
        if step.cluster_only and not on_cluster:
            return False
        if step.gives == "data_fingerprint":  # which only a cache has a use for
            return self.cluster.resources_of(step.name).cache
        return not step.optional or getattr(self, step.name) is not None

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of its graph here, in order."""
        return tuple(step.name for step in STEPS if self.runs(step, on_cluster=False))


@functools.cache
def config_model() -> type[Config]:
    """The model of a config, with the sections of all steps."""
    fields: dict[str, Any] = {}
    for step in configured_steps():
        model = step.load_settings()
        if step.optional:
            fields[step.name] = (model | None, pydantic.Field(None, description=step.about))
        else:
            fields[step.name] = (model, pydantic.Field(model(), description=step.about))
    return pydantic.create_model("Config", __base__=Config, __doc__=Config.__doc__, **fields)


def _section_name(model: type[SettingsModel]) -> str:
    return next(step.name for step in configured_steps() if step.load_settings() is model)


def load_config(path: str, data: str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Reads and validates a config.

    Args:
        path: The YAML file.
        data: Takes the place of the config's `data`.
        overrides: `key.sub=value` pairs, each value in YAML.

    Raises:
        SettingsError: One line that names the wrong key and the nearest valid one, or the keys
            of two sections that do not agree.
    """
    values = {"name": Path(path).stem.lower().replace("_", "-"), **read_yaml(path)}
    if data is not None:
        values["data"] = data
    for given in overrides:
        override(values, given)
    config = validate_settings(config_model(), values)
    train = config.section(TrainSettings)
    try:
        check_image_size(train.backbone, config.section(TransformSettings).size)
    except SettingsError as error:
        raise SettingsError(
            f"setting 'train.backbone': {error}; set 'transform.image_size', or another backbone"
        ) from None
    _check_embeddings(config)
    if (tune := config.optional_section(TuneSettings)) is not None:
        check_space(tune.space, train)
    return _of_job(config)


def _of_job(config: Config) -> Config:
    """The config of a job of one step: it has a name of its own, and knows what serves."""
    predict = config.optional_section(PredictSettings)
    if predict is not None and not predict.data:
        raise SettingsError("setting 'predict.data' is missing: say which photographs to predict")
    if config.job == "predict":
        return _predicting(config)
    return _monitoring(config) if config.job == "monitor" else config


def _predicting(config: Config) -> Config:
    predict = config.optional_section(PredictSettings)
    if predict is None:
        raise SettingsError("job predict: the config has no section 'predict'; set predict.data")
    destination = config.section(PushSettings).destination
    model = predict.model
    if model is None and destination is not None:
        model = target_for(destination).repository()
    if model is None:
        raise SettingsError(
            "job predict: which model is asked? set push.destination, or predict.model"
            if destination is None
            else f"job predict: the versions at {destination} are no models that can be read: set "
            "predict.model"
        )
    section = predict.model_copy(update={"model": model})
    return config.model_copy(update={"name": f"{config.name}-predict", "predict": section})


def _monitoring(config: Config) -> Config:
    monitor = config.optional_section(MonitorSettings)
    if monitor is None:
        raise SettingsError("job monitor: the config has no section 'monitor'; set monitor.state")
    versions = monitor.versions or config.section(PushSettings).destination
    if versions is None:
        raise SettingsError(
            "job monitor: where are the model's versions? set push.destination, or "
            f"monitor.versions (a run here without them pushes to runs/served/{config.name})"
        )
    section = monitor.model_copy(update={"versions": versions})
    return config.model_copy(update={"name": f"{config.name}-monitor", "monitor": section})


def _check_embeddings(config: Config) -> None:
    """Checks that `train` is set to what `transform.embeddings` gives it."""
    embeddings = config.section(TransformSettings).embeddings
    if embeddings is None:
        return
    train = config.section(TrainSettings)
    check_head_only(train)
    for key in EmbeddingsSettings.model_fields:
        given, asked = getattr(embeddings, key), getattr(train, key)
        if given != asked:
            raise SettingsError(
                f"setting 'train.{key}' is {asked}, and 'transform.embeddings.{key}' is {given}: "
                "the head fits no other backbone than the embeddings', set both alike"
            )


def override(values: dict[str, Any], given: str) -> None:
    """Changes a setting.

    Args:
        values: The settings by name, nested.
        given: `key.sub=value`, the value in YAML.

    Raises:
        SettingsError: It is not of that form.
    """
    key, equals, text = given.partition("=")
    if not equals or not key:
        raise SettingsError(f"--set {given}: expected key.sub=value")
    if not text:
        raise SettingsError(f"--set {given}: the value is missing; null stands for no value")
    try:
        set_value(values, key, parse_value(text))
    except SettingsError as error:
        raise SettingsError(f"--set {error}") from None
