"""What a run here checks before its first step: all that would else fail hours later."""

import ast
import importlib.util
import itertools
import os
from pathlib import Path

from components.evaluate.inputs import check_baseline, check_slices, check_thresholds
from components.evaluate.settings import EvaluateSettings
from components.evaluate.strangers import stranger_files
from components.evaluate.tracking import check_client
from components.ingest.settings import IngestSettings
from components.ingest.sources.header import known_columns
from components.ingest.sources.storage import local_files
from components.train.settings import TrainSettings, check_positive_label
from darkroom.artifacts.tiles import TILE_COLUMNS
from darkroom.backbones.registry import is_custom
from darkroom.errors import SettingsError
from darkroom.storage.paths import is_uri
from pipeline.config import Config


def check_inputs(config: Config) -> None:
    """Checks what a run here is about to read, before its first step.

    Raises:
        SettingsError: The data or the weights file does not exist, the champion does not exist,
            slices or thresholds cannot hold for this data, or a backbone of one's own is missing.
        StepError: The data is no table that ingest reads.
    """
    data = config.data
    if data != "sklearn:digits" and not is_uri(data) and not local_files(data):
        raise SettingsError(f"data path {data} does not exist; set 'data' or give --data PATH")
    if not config.section(IngestSettings).split.train:
        raise SettingsError("setting 'ingest.split.train' is 0: there is nothing to train on")
    train = config.section(TrainSettings)
    if train.weights not in ("none", "imagenet") and not Path(train.weights).is_file():
        raise SettingsError(f"setting 'train.weights': the file {train.weights} does not exist")
    if is_custom(train.backbone):
        _check_backbone(train.backbone)
    _check_evaluation(config)


def _check_evaluation(config: Config) -> None:
    ingest, evaluate = config.section(IngestSettings), config.section(EvaluateSettings)
    columns = known_columns(config.data, ingest)
    if columns is not None:
        known = [*columns, *(TILE_COLUMNS if ingest.tiles else ())]
        check_slices(evaluate.sliced_features, known)
        check_slices(evaluate.weak_slices.features or (), known, "weak_slices.features")
        check_slices(evaluate.fairness.columns, known, "fairness.columns")
    if ingest.labels is not None:
        count: int | None = len(set(ingest.labels))
    else:
        count = _label_folders(config.data)
    decision = config.section(TrainSettings).decision
    of_model = count, None, decision is not None
    check_thresholds(evaluate.thresholds, *of_model)
    check_thresholds(evaluate.against_baseline, *of_model, setting="against_baseline")
    if decision is not None and ingest.labels is not None:
        check_positive_label(decision, sorted(set(ingest.labels)))
    check_baseline(evaluate.baseline_folder)
    check_client(evaluate.mlflow)
    if evaluate.strangers is not None:
        stranger_files(Path(evaluate.strangers))


def _label_folders(data: str) -> int | None:
    """How many labels a folder has at most; None where a glance cannot tell."""
    if is_uri(data) or not Path(data).is_dir():
        return None
    folders = _folders(data)
    below = [len(_folders(folder)) for folder in folders]
    return max(len(folders), *below) if folders else None


def _folders(place: str) -> list[str]:
    """Folders among the first entries: there may be a million, and a threshold asks for a few."""
    with os.scandir(place) as entries:
        return [entry.path for entry in itertools.islice(entries, 1000) if entry.is_dir()]


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
