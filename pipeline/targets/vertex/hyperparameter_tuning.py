"""The same search on Vertex: a hyperparameter tuning job, built here and sent by the caller."""

import json
from pathlib import Path
from typing import Any

import yaml

from components.train.settings import TrainSettings
from components.train.tuning.settings import Dimension, TuneSettings, Value
from components.train.tuning.space import ends, is_whole
from darkroom.errors import SettingsError
from darkroom.settings import nearest
from darkroom.storage.atomic import write_text
from darkroom.storage.paths import mounted_path, mounted_uri
from pipeline.config import Config
from pipeline.targets.local.tune import tune_settings

PARALLEL_TRIALS = 2
"""More end sooner, and learn less from one another; gcloud's --parallel-trial-count says others."""

_MACHINE = "n1-standard-8"
"""A trial's, where `cluster.resources` names none."""
_MOST_VALUES = 1000
_WHOLE_NUMBERS = ("minValue", "maxValue", "replicaCount")
_TRIAL = ["python", "-m", "components.train.tuning.vertex_trial"]


def write_tuning_job(config: Config, transformed: str, file: Path) -> None:
    """Writes a tuning job as the YAML that `gcloud ai hp-tuning-jobs create --config` takes.

    Args:
        config: The validated config.
        transformed: As `tuning_job` takes it.
        file: The YAML file.

    Raises:
        SettingsError: As `tuning_job` raises it, or the file's name is not YAML's.
    """
    if file.suffix not in (".yaml", ".yml"):
        raise SettingsError(f"--vertex-job {file}: the name must end in .yaml")
    job = tuning_job(config, transformed)
    text = type(job).to_json(
        job, including_default_value_fields=False, use_integers_for_enums=False
    )
    values = json.loads(text, object_hook=_with_whole_numbers)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, yaml.safe_dump(values, sort_keys=False))


def tuning_job(config: Config, transformed: str) -> Any:
    """Translates a config's search into a Vertex hyperparameter tuning job.

    Args:
        config: The validated config; its `tune.timeout`, `startup_trials`, `warmup_epochs` and
            `seed` have no equal on Vertex. Where `train.checkpoints` is set, each trial has a
            folder there to resume from.
        transformed: `gs://` URI of a transform step's outputs: the folder that holds
            `transformed_examples` and `transform_graph`.

    Returns:
        google.cloud.aiplatform_v1.types.HyperparameterTuningJob.

    Raises:
        SettingsError: There is no space to search, it does not fit Vertex, or the URI is none.
    """
    settings = tune_settings(config)
    folder = _mounted(transformed)
    from google.cloud.aiplatform_v1.types import CustomJobSpec, HyperparameterTuningJob

    train = config.section(TrainSettings).model_dump(
        mode="json", exclude_none=True, exclude={"checkpoints"}
    )
    arguments = {
        "--transformed-examples": f"{folder}/transformed_examples",
        "--transform-graph": f"{folder}/transform_graph",
        "--settings": json.dumps(train),
        "--metric": settings.metric,
    }
    pool = {
        "machine_spec": _machine(config),
        "replica_count": 1,
        "container_spec": {
            "image_uri": config.cluster.image("tune"),
            "command": _TRIAL,
            "args": [part for option in arguments.items() for part in option],
        },
    }
    job_spec = CustomJobSpec(worker_pool_specs=[pool])
    checkpoints = config.section(TrainSettings).checkpoints
    if checkpoints is not None:
        uri = mounted_uri(checkpoints) or checkpoints
        job_spec.base_output_directory.output_uri_prefix = uri
    return HyperparameterTuningJob(
        display_name=config.name,
        max_trial_count=settings.trials,
        parallel_trial_count=min(PARALLEL_TRIALS, settings.trials),
        study_spec=_study_spec(settings),
        trial_job_spec=job_spec,
    )


def _with_whole_numbers(values: dict[str, Any]) -> dict[str, Any]:
    """The numbers of 64 bits, which protobuf's JSON has as text, as people write them."""
    return {
        name: int(value) if name in _WHOLE_NUMBERS and isinstance(value, str) else value
        for name, value in values.items()
    }


def _study_spec(settings: TuneSettings) -> Any:
    from google.cloud.aiplatform_v1.types import StudySpec

    spec = StudySpec(
        metrics=[{"metric_id": settings.metric, "goal": settings.direction.upper()}],
        parameters=[_parameter(name, dimension) for name, dimension in settings.space.items()],
        # What a trial reports is its value were it to end there.
        measurement_selection_type=StudySpec.MeasurementSelectionType.LAST_MEASUREMENT,
    )
    if settings.pruning == "median":
        # By epochs, not by seconds: trials with a small batch are slower, and no worse for it.
        spec.median_automated_stopping_spec = StudySpec.MedianAutomatedStoppingSpec(
            use_elapsed_duration=False
        )
    return spec


def _parameter(name: str, dimension: Dimension) -> dict[str, Any]:
    """A dimension as StudySpec.ParameterSpec takes it."""
    scale = "UNIT_LOG_SCALE" if dimension.log else "UNIT_LINEAR_SCALE"
    named = {"parameter_id": name}
    if dimension.choices is not None:
        if all(type(value) in (int, float) for value in dimension.choices):
            values = sorted(map(float, dimension.choices))
            return {**named, "discrete_value_spec": {"values": values}, "scale_type": scale}
        return {**named, "categorical_value_spec": {"values": [*map(_text, dimension.choices)]}}
    low, high = ends(dimension)
    if dimension.step is not None and (dimension.step != 1 or not is_whole(name)):
        values = _steps(name, low, high, dimension.step)
        return {**named, "discrete_value_spec": {"values": values}, "scale_type": scale}
    kind = "integer_value_spec" if is_whole(name) else "double_value_spec"
    return {**named, kind: {"min_value": low, "max_value": high}, "scale_type": scale}


def _steps(name: str, low: float, high: float, step: float) -> list[float]:
    count = int((high - low) / step + 1e-9) + 1
    if count > _MOST_VALUES:
        raise SettingsError(
            f"setting 'tune.space.{name}': Vertex takes at most {_MOST_VALUES} values, and these "
            f"are {count:,}: make step larger, or leave it out"
        )
    return [round(low + number * step, 12) for number in range(count)]


def _text(value: Value) -> str:
    """A choice as a command line has it, which reads YAML."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if yaml.safe_load(text) == value else json.dumps(value)


def _machine(config: Config) -> dict[str, Any]:
    from google.cloud.aiplatform_v1.types import AcceleratorType

    asked = config.cluster.resources_of("tune")
    machine: dict[str, Any] = {"machine_type": asked.machine or _MACHINE}
    name = asked.accelerator
    if name is not None:
        known = [kind.name for kind in AcceleratorType if kind.value]
        if name not in known:
            raise SettingsError(
                f"cluster.resources.train.accelerator: Vertex knows no {name}{nearest(name, known)}"
            )
        machine |= {"accelerator_type": name, "accelerator_count": asked.accelerator_count}
    return machine


def _mounted(uri: str) -> str:
    if not uri.startswith("gs://"):
        raise SettingsError(f"--transformed {uri}: expected a gs:// folder, which Vertex can read")
    return mounted_path(uri).rstrip("/")
