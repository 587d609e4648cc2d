"""A served digits model, a world that has turned, and its labels: what a retraining goes by.

`python -m tests.retraining_world FOLDER` looks once, as the monitor's step does, and retrains.
"""

import base64
import datetime
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from components.ingest.sources.digits import write_digits
from components.monitor.monitor import watch
from components.monitor.retraining.claims import Retraining
from components.monitor.retraining.retraining import update_retraining
from components.monitor.settings import MonitorSettings
from components.monitor.state.database import opened
from components.monitor.windows.reference import read_reference
from pipeline.config import load_config
from pipeline.triggers.retrain import start_retraining

SHOWN = 600
"""Digits that the turned world shows."""
QUICK = ("push.try_server=no", "evaluate.thresholds={accuracy: 0.8}")


def monitor_settings(folder: Path, when: str = "accuracy < 0.9") -> MonitorSettings:
    return MonitorSettings(
        state=str(folder / "state"),
        samples=str(folder / "samples"),
        model="digits",
        labels=(str(folder / "labels.csv"),),
        window=100,
        retrain={"when": when, "how": "fine_tune", "dataset": str(folder / "production")},
    )


def write_world(folder: Path, model: Path) -> None:
    """Asks a model of digits that are turned by a quarter, and writes samples and labels."""
    import io

    import numpy as np
    import tensorflow as tf
    from PIL import Image

    digits = folder / "digits"
    write_digits(digits)
    files = sorted(digits.glob("*/*.png"), key=lambda file: file.name)
    chosen = [files[place] for place in np.random.default_rng(0).choice(len(files), SHOWN, False)]
    contents = []
    for file in chosen:
        turned = io.BytesIO()
        Image.open(file).transpose(Image.Transpose.ROTATE_90).save(turned, "PNG")
        contents.append(turned.getvalue())
    given = tf.saved_model.load(str(model)).signatures["serving_default"](tf.constant(contents))
    lines, labels = [], ["image_id,label"]
    started = time.time() - SHOWN
    for place, (file, content) in enumerate(zip(chosen, contents, strict=True)):
        image_id = hashlib.sha256(content).hexdigest()
        moment = datetime.datetime.fromtimestamp(started + place, datetime.UTC)
        sample: dict[str, Any] = {
            "time": moment.isoformat(),
            "model": "digits",
            "version": model.name,
            "image_id": image_id,
            "label": given["label"][place].numpy().decode(),
            "label_index": int(given["label_index"][place]),
            "probabilities": [float(each) for each in given["probabilities"][place]],
            "image": base64.b64encode(content).decode(),
        }
        lines.append(json.dumps(sample))
        labels.append(f"{image_id},{file.parent.name}")
    (folder / "samples" / "digits").mkdir(parents=True)
    (folder / "samples" / "digits" / "samples.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "labels.csv").write_text("\n".join(labels) + "\n")


def look(folder: Path, evaluation: Path, statistics: Path) -> Retraining | None:
    """Watches, decides and retrains, as the command does."""
    settings, database = monitor_settings(folder), folder / "monitor.db"
    references = {"1": read_reference(evaluation, statistics, settings.slicings)}
    now = time.time()
    watch(settings, database, references, now)
    with opened(database) as connection:
        found = update_retraining(connection, settings, now, references)
    if found is None:
        return None
    config = load_config("configs/digits.yaml", overrides=QUICK)
    assert settings.retrain is not None
    out = folder / "runs"
    return start_retraining(config, found, settings.retrain, database=database, out=out)


if __name__ == "__main__":
    print("ready", flush=True)
    print(look(*map(Path, sys.argv[1:])))
