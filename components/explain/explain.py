"""The explain step: what of a photograph the model's answer follows from."""

import html
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.explain.settings import ExplainSettings, Method
from components.explain.vertex import write_specification
from darkroom.artifacts.evaluation import (
    EXPLANATION_LEGEND,
    explanation_mark,
    marked_for_explanation,
)
from darkroom.artifacts.examples import IMAGE_BYTES, IMAGE_ID, IMAGE_PATH, read_examples
from darkroom.artifacts.manifest import atomic_artifact, write_manifest
from darkroom.errors import SettingsError, StepError
from darkroom.records.example_proto import parsed_example
from darkroom.records.tfrecord import read_records
from darkroom.runtime.allocator import keep_freed_memory
from darkroom.runtime.pace import Pace
from darkroom.storage.atomic import write_text

KIND = "explanations"


class Picture(NamedTuple):
    """A photograph to explain: where it came from, its encoded bytes and, if it has one, its id."""

    path: str
    encoded: bytes
    image_id: str = ""


_log = logging.getLogger("darkroom.explain")


def explain(
    examples: Path,
    model: Path,
    report: Path,
    settings: ExplainSettings,
    *,
    explanations: Path,
    explained_report: Path,
) -> None:
    """Explains the model's worst mistakes, and puts the overlays into the evaluation's report.

    Args:
        examples: The examples that ingest wrote.
        model: The model that was evaluated on them.
        report: The evaluation's report; its worst mistakes are explained.
        settings: How answers are explained.
        explanations: Output: of each photograph an overlay (PNG) and the raw attributions (NumPy),
            `manifest.json` with the label, its probability and the error, and the specification
            with which Vertex explains the model's answers alike, where it can.
        explained_report: Output: the report with the overlays.

    Raises:
        SettingsError: The label is none of the model's.
        StepError: The model cannot be explained, or none of the photographs can be.
    """
    page = report.read_text("utf-8")
    wanted = marked_for_explanation(page)[: settings.mistakes]
    found = {picture.image_id: picture for picture in _pictures(examples, set(wanted))}
    pictures = [found[identity] for identity in wanted if identity in found]
    with atomic_artifact(explanations) as folder:
        content = explain_pictures(model, pictures, settings, folder)
        write_specification(folder, settings)
        write_manifest(folder, KIND, content)
    page = _with_overlays(page, explanations, content["explained"], settings)
    explained_report.parent.mkdir(parents=True, exist_ok=True)
    write_text(explained_report, page)


def explain_files(
    model: Path, files: Sequence[Path], settings: ExplainSettings, explanations: Path
) -> None:
    """Explains a model's answers to some files, as `explain` does.

    Raises:
        SettingsError: There is no such file, or the label is none of the model's.
        StepError: The model cannot be explained, or none of the photographs can be.
    """
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise SettingsError(f"there is no file {missing[0]}")
    pictures = [Picture(str(file), file.read_bytes()) for file in files]
    with atomic_artifact(explanations) as folder:
        write_manifest(folder, KIND, explain_pictures(model, pictures, settings, folder))


def explain_pictures(
    model: Path, pictures: Sequence[Picture], settings: ExplainSettings, folder: Path
) -> dict[str, Any]:
    """Explains a model's answers to photographs, and writes overlays and attributions.

    Args:
        model: The model.
        pictures: The photographs.
        settings: How answers are explained.
        folder: Where the files go.

    Returns:
        The manifest: `labels`, `settings`, and the photographs that were `explained` and `failed`.
    """
    from components.explain.explained_model import ExplainedModel

    keep_freed_memory()
    explained = ExplainedModel(model)
    label = None if settings.label is None else explained.index_of(settings.label)
    rows: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    pace = Pace(_log, "photographs", len(pictures))
    for number, picture in enumerate(pictures):
        file = folder / f"{number:04d}-{Path(picture.path).stem}"
        try:
            rows.append(_explained(explained, picture, label, settings, file))
        except StepError as error:
            failed.append({"image": picture.path, "reason": str(error)})
            _log.warning("%s is left out: %s", picture.path, error)
        pace.add()
    if pictures and not rows:
        raise StepError(
            f"none of {len(pictures)} photographs could be explained: {failed[0]['reason']}"
        )
    return {
        "labels": list(explained.labels),
        "settings": settings.model_dump(mode="json"),
        "explained": rows,
        "failed": failed,
    }


def _explained(
    model: Any, picture: Picture, label: int | None, settings: ExplainSettings, file: Path
) -> dict[str, Any]:
    import numpy as np

    from components.explain.overlay import overlay

    pixels = model.pixels(picture.encoded)
    probabilities = model.probabilities(pixels[np.newaxis])[0]
    if not np.isfinite(probabilities).all():
        raise StepError("its probabilities are not numbers")
    place = model.given_label(probabilities) if label is None else label
    found = _method(settings.method)(model, pixels, place, settings)
    drawn, raw = file.with_name(f"{file.name}.png"), file.with_name(f"{file.name}.npy")
    drawn.write_bytes(overlay(pixels, found.values))
    np.save(raw, found.values)
    row = {
        "image": picture.path,
        "image_id": picture.image_id,
        "label": model.labels[place],
        "probability": float(probabilities[place]),
        "method": settings.method,
        "overlay": drawn.name,
        "attributions": raw.name,
        "error": found.error,
        "steps": found.steps,
    }
    said = "" if found.error is None else f", error {100 * found.error:.1f} %"
    _log.info("%s: %s %.3f%s", picture.path, row["label"], row["probability"], said)
    if found.error is not None and found.error > settings.largest_error:
        _log.warning("%s: the error stays above %g %%", picture.path, 100 * settings.largest_error)
    return row


def _method(name: Method) -> Callable[..., Any]:
    if name == "integrated_gradients":
        from components.explain.methods.integrated_gradients import integrated_gradients

        return integrated_gradients
    if name == "xrai":
        from components.explain.methods.xrai import xrai

        return xrai
    if name == "grad_cam":
        from components.explain.methods.grad_cam import grad_cam

        return grad_cam
    from components.explain.methods.kernel_shap import kernel_shap

    return kernel_shap


def _pictures(examples: Path, identities: set[str]) -> list[Picture]:
    """The test photographs of some identities."""
    found: list[Picture] = []
    for shard in read_examples(examples).shards("test"):
        for record in read_records(shard):
            if len(found) == len(identities):
                return found
            example = parsed_example(record)
            identity = example[IMAGE_ID][0].decode()
            if identity in identities:
                path = example[IMAGE_PATH][0].decode("utf-8", "surrogateescape")
                found.append(Picture(path, example[IMAGE_BYTES][0], identity))
    return found


def _with_overlays(
    page: str, folder: Path, rows: Iterable[dict[str, Any]], settings: ExplainSettings
) -> str:
    """The report with an overlay below each photograph that was explained."""
    from components.explain.overlay import as_data_uri

    legend = f" Below them, by {settings.method}: green speaks for the answer, red against it."
    page = page.replace(EXPLANATION_LEGEND, legend)
    for row in rows:
        picture = as_data_uri((folder / row["overlay"]).read_bytes())
        about = f"what speaks for {row['label']} and against it, by {settings.method}"
        image = f'<img src="{picture}" alt="{html.escape(about)}">'
        figure = f'<div class="frame explanation">{image}</div>'
        page = page.replace(explanation_mark(row["image_id"]), figure)
    return page
