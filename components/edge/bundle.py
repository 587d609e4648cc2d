"""The edge bundle: a model of whole numbers with all that a small device needs to run it."""

import dataclasses
import shutil
from pathlib import Path

from darkroom.artifacts import model as model_format
from darkroom.artifacts.manifest import atomic_artifact, content_digest, write_manifest
from darkroom.artifacts.model import read_model
from darkroom.artifacts.transformed import read_preprocessing
from darkroom.errors import SettingsError, StepError

KIND = "edge"
MODEL_FILE = "model.tflite"
_RUNNER = Path(__file__).parent / "runner"
_ROOT = Path(__file__).parents[2]
_SHARED = ("darkroom/__init__.py", "darkroom/pixels.py")
"""What the runner imports of this project: it is copied, so that there is one definition."""


def write_bundle(model: Path, bundle: Path) -> None:
    """Writes a folder that classifies photographs with ai-edge-litert, Pillow and numpy alone.

    Args:
        model: A model artifact that has the form `tflite_integer`.
        bundle: Output: the folder, which must not exist.

    Raises:
        SettingsError: There is something at `bundle`.
        StepError: The model is not complete, has no such form, or does not state how its
            photographs are resized.
    """
    known = read_model(model)
    file = model / model_format.EXPORTS_FOLDER / model_format.INTEGER_FILE
    if not file.is_file():
        raise StepError(
            f"the model {model} has no {file.relative_to(model)}: train it with "
            "train.export: [tflite_integer]"
        )
    preprocessing = read_preprocessing(known.manifest)
    if preprocessing is None:
        raise StepError(
            f"the model {model} does not state how photographs are resized, since a release "
            "before this one made it; run the pipeline again"
        )
    if bundle.exists():
        raise SettingsError(f"{bundle} exists: remove it, or name another folder with -o")
    decision = known.decision
    with atomic_artifact(bundle, replace=False) as folder:
        shutil.copytree(_RUNNER, folder, dirs_exist_ok=True, ignore=_only_what_runs)
        for name in _SHARED:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(_ROOT / name, folder / name)
        shutil.copyfile(file, folder / MODEL_FILE)
        content = {
            "labels": known.labels,
            "thresholds": known.thresholds,
            "decision": None if decision is None else dataclasses.asdict(decision),
            "preprocessing": dataclasses.asdict(preprocessing),
            "model_digest": content_digest(model),
        }
        write_manifest(folder, KIND, content)


def _only_what_runs(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name.startswith("__")]
