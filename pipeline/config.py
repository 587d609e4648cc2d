"""A run's config: one YAML file with a section a step, validated before anything runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydantic

from components.artifacts.backbones import check_image_size
from components.artifacts.errors import SettingsError
from components.artifacts.settings import (
    Settings,
    parse_value,
    read_yaml,
    set_value,
    validate_settings,
)
from components.evaluate.settings import EvaluateSettings
from components.ingest.settings import IngestSettings
from components.ingest.storage import is_uri, local_files
from components.notify.settings import NotifySettings
from components.push.settings import PushSettings
from components.train.embeddings import check_head_only
from components.train.settings import TrainSettings
from components.train.tuning.settings import TuneSettings
from components.train.tuning.space import check_space
from components.transform.settings import EmbeddingsSettings, TransformSettings
from pipeline.cluster.settings import STEPS, TUNE, ClusterSettings
from pipeline.triggers.settings import TriggerSettings


class Config(Settings):
    """Everything about a run; each section's own settings say what their keys do."""

    name: str = pydantic.Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")
    """Names runs, pipelines and the served model; the config file's own name where left out."""
    data: str
    """A folder of label folders, a CSV `image,label[,more]`, JSON Lines, a glob of such tables,
    any of these as a URI, or `sklearn:digits`."""
    ingest: IngestSettings = IngestSettings()
    """Photographs to split examples."""
    transform: TransformSettings = TransformSettings()
    """Examples to pixels."""
    tune: TuneSettings | None = None
    """Where to search for train's settings, before it trains; left out, they are as they stand."""
    train: TrainSettings = TrainSettings()
    """Pixels to a model."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """Metrics, slices and thresholds."""
    push: PushSettings = PushSettings()
    """Where a blessed model goes."""
    notify: NotifySettings | None = None
    """Who hears how a run ended; left out, nobody does."""
    trigger: TriggerSettings | None = None
    """When new photographs or a fall in quality start a run; for `darkroom trigger`."""
    cluster: ClusterSettings = ClusterSettings()
    """Images and machines, for Kubeflow and Vertex."""

    def arguments(self) -> dict[str, Any]:
        """The values of the pipeline's parameters: `data`, and a mapping a step."""
        # A pipeline's parameters know no null; in our settings it is never but the default.
        sections = {
            step: getattr(self, step).model_dump(mode="json", exclude_none=True)
            for step in self.steps
        }
        return {"data": self.data, **sections}

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps of its graph, in order."""
        if self.tune is None:
            return STEPS
        before = STEPS.index("train")
        return (*STEPS[:before], TUNE, *STEPS[before:])


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
    for override in overrides:
        _override(values, override)
    config = validate_settings(Config, values)
    check_image_size(config.train.backbone, config.transform.size)
    _check_embeddings(config)
    if config.tune is not None:
        check_space(config.tune.space, config.train)
    return config


def _check_embeddings(config: Config) -> None:
    """Checks that `train` is set to what `transform.embeddings` gives it."""
    embeddings = config.transform.embeddings
    if embeddings is None:
        return
    check_head_only(config.train)
    for key in EmbeddingsSettings.model_fields:
        given, asked = getattr(embeddings, key), getattr(config.train, key)
        if given != asked:
            raise SettingsError(
                f"setting 'train.{key}' is {asked}, and 'transform.embeddings.{key}' is {given}: "
                "the head fits no other backbone than the embeddings', set both alike"
            )


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise SettingsError(f"--set {override}: expected key.sub=value")
    try:
        set_value(values, key, parse_value(text))
    except SettingsError as error:
        raise SettingsError(f"--set {error}") from None


def check_inputs(config: Config) -> None:
    """Checks what a run here is about to read, before its first step.

    Raises:
        SettingsError: The data or the weights file does not exist.
    """
    data = config.data
    if data != "sklearn:digits" and not is_uri(data) and not local_files(data):
        raise SettingsError(f"data path {data} does not exist; set 'data' or give --data PATH")
    weights = config.train.weights
    if weights not in ("none", "imagenet") and not Path(weights).is_file():
        raise SettingsError(f"setting 'train.weights': the file {weights} does not exist")
