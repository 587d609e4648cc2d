"""Writes the further forms, and their sizes, times and parity, into the model's folder."""

import contextlib
import logging
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from components.train.export import onnx, tflite
from components.train.export.parity import (
    accuracy,
    check_agreement,
    check_exact,
    compared,
    comparison_of,
)
from components.train.export.runtime import Answers, ask
from components.train.settings import CALIBRATED_FORMS, ExportForm, TrainSettings
from darkroom.artifacts import model as model_format
from darkroom.artifacts.transformed import TransformedExamples, TransformGraph
from darkroom.errors import StepError
from darkroom.storage.atomic import write_json

FILES: dict[ExportForm, str] = {
    "tflite": "model.tflite",
    "tflite_int8": "model_int8.tflite",
    "tflite_integer": model_format.INTEGER_FILE,
    "onnx": "model.onnx",
}

_log = logging.getLogger("darkroom.train")


def write_exports(
    network: Any,
    source: TransformedExamples,
    graph: TransformGraph,
    settings: TrainSettings,
    folder: Path,
    thresholds: Sequence[float] | None = None,
) -> None:
    """Writes the forms of `train.export` and `exports.json`, and compares each with the SavedModel.

    Args:
        network: keras.Model as `components.train.export.saved_model.export` takes it, in float32.
        source: Transformed examples, from which calibration and comparison photographs are taken.
        graph: The graph that gave them.
        settings: The train step's settings.
        folder: Folder of the SavedModel of the same network.
        thresholds: Thresholds by label, of a multi-label model.

    Raises:
        StepError: The network cannot be written in a form, or a float form does not give the
            SavedModel's probabilities.
    """
    exports = folder / model_format.EXPORTS_FOLDER
    size = _folder_bytes(folder)
    images, split, labels = comparison_of(source, graph, settings.seed)

    def right(answers: Answers) -> dict[str, float]:
        return {} if labels is None else {"accuracy": accuracy(answers, labels, thresholds)}

    reference = ask("saved_model", folder, images)
    row = {"form": "saved_model", "file": ".", "bytes": size}
    measured = {"milliseconds": reference.milliseconds} | right(reference)
    rows: list[dict[str, Any]] = [row | measured]
    exports.mkdir()
    for form in (form for form in FILES if form in settings.export):
        path = exports / FILES[form]
        with _clear_errors(form):
            path.write_bytes(_content(form, network, source, graph, settings))
            answers = ask(form, path, images)
        file = path.relative_to(folder).as_posix()
        row = {"form": form, "file": file, "bytes": path.stat().st_size}
        rows.append(row | compared(answers, reference, thresholds) | right(answers))
        _check(form, rows[-1], len(images))
    # So that the folder can be copied to a device without the model.
    shutil.copyfile(folder / model_format.LABELS_FILE, exports / model_format.LABELS_FILE)
    if thresholds is not None:
        lines = "".join(f"{threshold!r}\n" for threshold in thresholds)
        (exports / model_format.THRESHOLDS_FILE).write_text(lines, encoding="utf-8")
    document = {"images": len(images), "split": split, "forms": rows}
    write_json(folder / model_format.EXPORTS_FILE, document)


def _content(
    form: ExportForm,
    network: Any,
    source: TransformedExamples,
    graph: TransformGraph,
    settings: TrainSettings,
) -> bytes:
    if form == "onnx":
        return onnx.onnx_content(network, graph.image_size)
    if form == "tflite":
        return tflite.float_content(network, graph.image_size)
    calibration = tflite.calibration_images(source, graph, settings.seed)
    if form == "tflite_integer":
        return tflite.integer_content(network, graph.image_size, calibration)
    return tflite.int8_content(network, graph.image_size, calibration)


def _check(form: ExportForm, row: dict[str, Any], images: int) -> None:
    if form in CALIBRATED_FORMS:
        check_agreement(form, row, images)
    else:
        check_exact(form, row)
    _log.info(
        "%s: %.1f MB, %.1f ms an image, the SavedModel's label for %.1f %% of %d images",
        *(row["file"], row["bytes"] / 1e6, row["milliseconds"], row["agreement"] * 100, images),
    )


@contextlib.contextmanager
def _clear_errors(form: ExportForm) -> Iterator[None]:
    """Replaces errors of converters and runtimes by an error of one line."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # each has its own exception classes, and raises bare ones too
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StepError(
            f"the network cannot be written as {form} ({reason}): leave {form} out of "
            "train.export and run again, which resumes from the checkpoint"
        ) from error


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
