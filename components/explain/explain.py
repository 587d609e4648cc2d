"""The explain step: what of each photograph the model's answer follows from."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from components.explain.settings import ExplainSettings, Method
from darkroom.artifacts.manifest import atomic_artifact, write_manifest
from darkroom.errors import SettingsError, StepError
from darkroom.runtime.allocator import keep_freed_memory
from darkroom.runtime.pace import Pace

KIND = "explanations"
_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")

_log = logging.getLogger("darkroom.explain")


def explain(
    model: Path, images: Path, settings: ExplainSettings, *, explanations: Path
) -> dict[str, Any]:
    """Explains a model's answers to photographs.

    Args:
        model: The model.
        images: A photograph, or a folder of photographs.
        settings: How answers are explained.
        explanations: Output: of each photograph an overlay (PNG) and the raw attributions (NumPy),
            and `manifest.json` with the label, its probability and the error.

    Returns:
        The manifest's `explained` and `failed`.

    Raises:
        SettingsError: There are no photographs, or the label is none of the model's.
        StepError: The model cannot be explained, or none of the photographs can be read.
    """
    return explain_files(model, _files(images), settings, explanations)


def explain_files(
    model: Path, files: Sequence[Path], settings: ExplainSettings, explanations: Path
) -> dict[str, Any]:
    """Explains a model's answers to some files, as `explain` does."""
    from components.explain.explained_model import ExplainedModel

    missing = [file for file in files if not file.is_file()]
    if missing:
        raise SettingsError(f"there is no file {missing[0]}")
    keep_freed_memory()
    explained = ExplainedModel(model)
    label = None if settings.label is None else explained.index_of(settings.label)
    rows: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    pace = Pace(_log, "photographs", len(files))
    with atomic_artifact(explanations) as folder:
        for number, file in enumerate(files):
            try:
                rows.append(_explained(explained, file, label, settings, folder, number))
            except StepError as error:
                failed.append({"image": str(file), "reason": str(error)})
                _log.warning("%s is left out: %s", file, error)
            pace.add()
        if not rows:
            raise StepError(f"none of {len(files)} photographs could be explained: see above")
        content = {
            "labels": list(explained.labels),
            "settings": settings.model_dump(mode="json"),
            "explained": rows,
            "failed": failed,
        }
        write_manifest(folder, KIND, content)
    return {"explained": rows, "failed": failed}


def _explained(
    model: Any,
    file: Path,
    label: int | None,
    settings: ExplainSettings,
    folder: Path,
    number: int,
) -> dict[str, Any]:
    import numpy as np

    from components.explain.overlay import overlay

    pixels = model.pixels(file.read_bytes())
    probabilities = model.probabilities(pixels[np.newaxis])[0]
    place = int(probabilities.argmax()) if label is None else label
    found = _method(settings.method)(model, pixels, place, settings)
    name = f"{number:04d}-{file.stem}"
    (folder / f"{name}.png").write_bytes(overlay(pixels, found.values))
    np.save(folder / f"{name}.npy", found.values)
    row = {
        "image": str(file),
        "label": model.labels[place],
        "probability": float(probabilities[place]),
        "method": settings.method,
        "overlay": f"{name}.png",
        "attributions": f"{name}.npy",
        "error": found.error,
        "steps": found.steps,
    }
    _log.info(
        "%s: %s %.3f, error %.1f %% at %d steps",
        *(file, row["label"], row["probability"], 100 * found.error, found.steps),
    )
    if found.error > settings.largest_error:
        _log.warning("%s: the error stays above %g %%", file, 100 * settings.largest_error)
    return row


def _method(name: Method) -> Callable[..., Any]:
    if name == "integrated_gradients":
        from components.explain.methods.integrated_gradients import integrated_gradients

        return integrated_gradients
    if name == "xrai":
        from components.explain.methods.xrai import xrai

        return xrai
    from components.explain.methods.kernel_shap import kernel_shap

    return kernel_shap


def _files(images: Path) -> list[Path]:
    if images.is_file():
        return [images]
    found = sorted(
        file for file in images.rglob("*") if file.suffix.lower() in _ENDINGS and file.is_file()
    )
    if not found:
        raise SettingsError(f"there are no photographs in {images}")
    return found
