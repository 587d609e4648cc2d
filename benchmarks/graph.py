"""What the graph costs beside the steps' own work, and the accuracy and memory of a flowers run."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import ROOT
from benchmarks.processes import table

SHARED = ROOT.parent / "shared"
DATA = os.environ.get("FLOWERS", str(SHARED / "data" / "flowers"))
WEIGHTS = os.environ.get(
    "MOBILENET_WEIGHTS",
    str(SHARED / "weights/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"),
)


def measure() -> str:
    """Runs the flowers once (some minutes) and reads its `run.json`."""
    with tempfile.TemporaryDirectory() as folder:
        settings = ["--data", DATA, "--set", f"train.weights={WEIGHTS}", "--out", folder]
        command = [sys.executable, "-m", "pipeline.cli.main", "run", "configs/flowers.yaml"]
        subprocess.run([*command, *settings], check=True, cwd=ROOT)
        (file,) = Path(folder).glob("*/run.json")
        run = json.loads(file.read_text())
    work = sum(step["seconds"] for step in run["steps"])
    rows = [
        [step["name"], f"{step['seconds']:.1f}", f"{step['peak_memory_bytes'] / 2**30:.2f}"]
        for step in run["steps"]
    ]
    overhead = run["seconds"] - work
    rows.append(["the graph itself", f"{overhead:.1f} ({overhead / work:.1%} of the work)", ""])
    rows.append(["all", f"{run['seconds']:.1f}", ""])
    accuracy = f"test accuracy {run['metrics']['accuracy']:.4f}, blessed: {run['blessed']}"
    return f"{table(['step', 'seconds', 'peak GiB'], rows)}\n\n{accuracy}"
