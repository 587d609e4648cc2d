"""A share of the answers, kept for monitoring: JSON Lines in files that rotate. Off by default.

A line says what was asked and answered: time, model, version, the photograph's digest, the key if
the request had one, labels and probabilities. The photograph itself is kept only where that is
asked for.
"""

import base64
import datetime
import hashlib
import json
import logging.handlers
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.serve.calls.batching import Calls
from components.serve.calls.signature_call import Array
from components.serve.settings import SampleSettings
from components.serve.telemetry.line_writer import LineWriter
from darkroom.artifacts.model import IMAGE_BYTES, LABELS
from darkroom.artifacts.samples import FILE, samples_folder
from darkroom.errors import SettingsError
from darkroom.storage.atomic import os_reason


class Samples:
    """Writes a share of the answers, from a thread of its own.

    Args:
        settings: Where they go, and how many.
        model: The model's name.

    Raises:
        SettingsError: The folder cannot be written.
    """

    def __init__(self, settings: SampleSettings, model: str) -> None:
        assert settings.folder is not None
        self._settings, self._model = settings, model
        self._random = random.Random()
        folder = Path(samples_folder(settings.folder, model))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            files = logging.handlers.RotatingFileHandler(
                folder / FILE,
                maxBytes=settings.file_mb * 2**20,
                backupCount=settings.files - 1,
                encoding="utf-8",
            )
        except OSError as error:
            raise SettingsError(f"sample.folder {folder}: {os_reason(error)}") from None
        self._writer = LineWriter(files, "samples")

    def take(self, version: int, inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> None:
        """Notes a share of the answers of one call.

        Args:
            version: The version that answered.
            inputs: What it was asked: answers to photographs alone are noted.
            outputs: What it answered.
        """
        if IMAGE_BYTES not in inputs or "probabilities" not in outputs:
            return
        for place, image in enumerate(inputs[IMAGE_BYTES].ravel()):
            if self._random.random() < self._settings.rate:
                self._writer.put(json.dumps(self._sample(version, bytes(image), outputs, place)))

    def _sample(
        self, version: int, image: bytes, outputs: Mapping[str, Array], place: int
    ) -> dict[str, Any]:
        kept = {"image": base64.b64encode(image).decode()} if self._settings.images else {}
        return {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "model": self._model,
            "version": version,
            "image_id": hashlib.sha256(image).hexdigest(),
            **dict(_answers(outputs, place)),
            **kept,
        }

    def close(self) -> None:
        """Writes what waits."""
        self._writer.close()


class SampledCalls:
    """Calls of a version's signatures, of which a share is noted.

    Args:
        calls: What calls signatures.
        samples: What notes them.
        version: The version's number.
    """

    def __init__(self, calls: Calls, samples: Samples, version: int) -> None:
        self._calls, self._samples, self._version = calls, samples, version

    def call(self, signature: Any, inputs: dict[str, Array]) -> dict[str, Array]:
        """Calls a signature; see `Batches.call`."""
        outputs = self._calls.call(signature, inputs)
        self._samples.take(self._version, inputs, outputs)
        return outputs


_NOTED = ("key", "label", "label_index", "probability", "probabilities", LABELS)


def _answers(outputs: Mapping[str, Array], place: int) -> Iterator[tuple[str, Any]]:
    for name in _NOTED:
        if name in outputs:
            value = outputs[name][place]
            if isinstance(value, bytes):
                yield name, value.decode("utf-8", "backslashreplace")
            else:
                yield name, value.tolist()
