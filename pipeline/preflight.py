"""What a run here checks before its first step: all that would else fail hours later."""

import ast
import importlib.util
from pathlib import Path

from components.evaluate.inputs import (
    check_baseline,
    check_buckets,
    check_costs,
    check_label,
    check_slices,
    check_thresholds,
)
from components.evaluate.settings import EvaluateSettings
from components.evaluate.strangers import stranger_files
from components.evaluate.tracking import check_client
from components.explain.settings import ExplainSettings
from components.ingest.settings import IngestSettings
from components.ingest.sources.header import Known, known_columns, known_data
from components.ingest.sources.parts import has_any
from components.predict.settings import PredictSettings
from components.push.settings import PushSettings
from components.push.targets import target_for
from components.train.settings import DecisionSettings, TrainSettings, check_positive_label
from darkroom.artifacts.examples import FEATURE_TYPES
from darkroom.artifacts.signature import check_private_key
from darkroom.artifacts.tiles import TILE_COLUMNS
from darkroom.backbones.registry import is_custom
from darkroom.errors import SettingsError
from darkroom.settings import nearest
from darkroom.sources.storage import local_files
from darkroom.storage.paths import is_uri
from pipeline.config import Config

_USUAL = EvaluateSettings()


def check_inputs(config: Config) -> None:
    """Checks what a run here is about to read, before its first step.

    Raises:
        SettingsError: The data or the weights file does not exist, the champion does not exist,
            slices or thresholds cannot hold for this data, a backbone of one's own is missing, or
            models cannot be pushed or signed.
        StepError: The data is no table that ingest reads.
    """
    _check_predictions(config)
    if config.job == "predict":
        return
    data = config.data
    if data != "sklearn:digits" and not is_uri(data) and not local_files(data):
        raise SettingsError(f"data path {data} does not exist; set 'data' or give --data PATH")
    for place in filter(has_any, config.section(IngestSettings).further_data):
        if place != "sklearn:digits" and not is_uri(place) and not local_files(place):
            raise SettingsError(f"setting 'ingest.further_data': {place} does not exist")
    if not config.section(IngestSettings).split.train:
        raise SettingsError("setting 'ingest.split.train' is 0: there is nothing to train on")
    train = config.section(TrainSettings)
    if train.weights not in ("none", "imagenet") and not Path(train.weights).is_file():
        raise SettingsError(f"setting 'train.weights': the file {train.weights} does not exist")
    if is_custom(train.backbone):
        _check_backbone(train.backbone)
    _check_evaluation(config)
    _check_push(config.section(PushSettings))


def _check_push(push: PushSettings) -> None:
    if push.destination is not None:
        target_for(push.destination).check()
    if push.signing_key is not None:
        check_private_key(Path(push.signing_key))


def _check_predictions(config: Config) -> None:
    predict = config.optional_section(PredictSettings)
    for place in () if predict is None else predict.data:
        if not is_uri(place) and not local_files(place):
            raise SettingsError(f"setting 'predict.data': {place} does not exist")


def _check_evaluation(config: Config) -> None:
    ingest, evaluate = config.section(IngestSettings), config.section(EvaluateSettings)
    columns = known_columns(config.data, ingest)
    if columns is not None:
        known = [*columns, *(TILE_COLUMNS if ingest.tiles else ())]
        check_slices(evaluate.sliced_columns, known)
        check_slices(evaluate.weak_slices.features or (), known, "weak_slices.features")
        check_slices(evaluate.fairness.columns, known, "fairness.columns")
    known_of_data = known_data(config.data, ingest)
    _check_explanations(config, known_of_data)
    _check_labels(known_of_data, evaluate, config.section(TrainSettings).decision)
    if known_of_data.types is not None:
        check_buckets(evaluate.buckets, {**FEATURE_TYPES, **known_of_data.types})
    check_baseline(evaluate.baseline_folder)
    check_client(evaluate.mlflow)
    if evaluate.strangers is not None:
        stranger_files(Path(evaluate.strangers))


def _check_explanations(config: Config, data: Known) -> None:
    explain = config.optional_section(ExplainSettings)
    if explain is None:
        return
    backbone = config.section(TrainSettings).backbone
    if explain.method == "grad_cam" and backbone == "linear":
        raise SettingsError(
            "setting 'explain.method': grad_cam needs a feature map, and the backbone 'linear' has "
            "none; take xrai"
        )
    if explain.label is not None and data.labels is not None and explain.label not in data.labels:
        raise SettingsError(
            f"setting 'explain.label': there is no label '{explain.label}'"
            f"{nearest(explain.label, data.labels)}"
        )


def _check_labels(
    data: Known, evaluate: EvaluateSettings, decision: DecisionSettings | None
) -> None:
    """Checks what is said of labels, as far as they are known."""
    count = None if data.labels is None else len(data.labels)
    of_model = count, data.multi_label, decision is not None
    check_thresholds(evaluate.thresholds, *of_model)
    if evaluate.baseline != "none" and evaluate.against_baseline != _USUAL.against_baseline:
        check_thresholds(evaluate.overall_margins, *of_model, setting="against_baseline")
    if data.multi_label:
        for setting, given in (
            ("train.decision", decision),
            ("evaluate.costs", evaluate.costs),
            ("evaluate.check_train_labels", evaluate.check_train_labels),
        ):
            if given:
                raise SettingsError(f"setting '{setting}' is for images of one label each")
    if data.labels is not None:
        check_costs(evaluate.costs, data.labels)
        check_label(evaluate.fairness.label, data.labels)
        if decision is not None:
            check_positive_label(decision, data.labels)


def _check_backbone(path: str) -> None:
    """Looks for a function without importing its module, which would import Keras.

    Raises:
        SettingsError: There is no such module, or its function takes not one argument.
    """
    module, name = path.split(":")
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise SettingsError(
            f"setting 'train.backbone': there is no module {module}: is the folder that holds it "
            "on PYTHONPATH?"
        )
    if not found.origin or not found.origin.endswith(".py"):
        return
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            _check_arguments(path, node.args)
            return
    if not any(
        isinstance(node, ast.Assign | ast.ImportFrom | ast.If | ast.Try) for node in tree.body
    ):
        raise SettingsError(f"setting 'train.backbone': {found.origin} has no function {name}")


def _check_arguments(path: str, arguments: ast.arguments) -> None:
    places = [*arguments.posonlyargs, *arguments.args]
    needed = len(places) - len(arguments.defaults)
    keywords = [default for default in arguments.kw_defaults if default is None]
    takes_one = needed <= 1 and (bool(places) or arguments.vararg is not None) and not keywords
    if not takes_one:
        raise SettingsError(
            f"setting 'train.backbone': {path} is called with one argument, the tuple (height, "
            f"width), and takes {needed + len(keywords)}"
        )
