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
from components.monitor.job import STEADY, monitor
from components.monitor.retraining.claims import Retraining
from components.monitor.settings import MonitorSettings
from pipeline.config import Config, load_config
from pipeline.triggers.retrain import claimed_retraining, start_retraining

SHOWN = 600
"""Digits that the turned world shows."""
QUICK = ("push.try_server=no", "evaluate.thresholds={accuracy: 0.8}")


def config_of(folder: Path) -> Config:
    """The digits config, with a monitor of what `write_world` writes."""
    monitor = {
        "state": str(folder / "monitor"),
        "samples": str(folder / "samples"),
        "model": "digits",
        "labels": [str(folder / "labels.csv")],
        "window": 100,
        "retrain": {
            "when": "accuracy < 0.9",
            "how": "fine_tune",
            "dataset": str(folder / "production"),
        },
    }
    return load_config("configs/digits.yaml", None, [*QUICK, f"monitor={json.dumps(monitor)}"])


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


def look(folder: Path) -> Retraining | None:
    """Watches, decides and retrains, as `darkroom monitor` does."""
    config = config_of(folder)
    versions = folder / "runs" / "served" / "digits"
    settings = config.section(MonitorSettings).model_copy(update={"versions": str(versions)})
    if monitor(settings, watched=folder / "watched") == STEADY:
        return None
    claimed = claimed_retraining(config)
    return None if claimed is None else start_retraining(config, claimed, folder / "runs")


if __name__ == "__main__":
    print("ready", flush=True)
    print(look(Path(sys.argv[1])))
