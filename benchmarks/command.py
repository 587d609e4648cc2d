"""How fast the command answers when it has nothing to run."""

import sys

from benchmarks.processes import RUNS, cost, seconds, spread, table

DIGITS = ["pipeline.cli.main", "run", "configs/digits.yaml"]

CASES = {
    "python -c pass (the floor)": (0, ["timeit", "-n1", "-r1", "pass"]),
    "darkroom --help": (0, ["pipeline.cli.main", "--help"]),
    "unknown key": (2, [*DIGITS, "--set", "train.epoch=3"]),
    "wrong type": (2, [*DIGITS, "--set", "train.epochs=many"]),
    "missing data path": (2, [*DIGITS, "--data", "nowhere"]),
}


def measure() -> str:
    """Times help and settings errors."""
    rows = []
    for name, (exit_code, arguments) in CASES.items():
        # The first run warms the disk.
        command = [sys.executable, "-m", *arguments]
        taken = [cost(command, exit_code=exit_code) for _ in range(RUNS + 1)][1:]
        rows.append([name, spread(seconds(taken))])
    return table(["case", "seconds: median (least to most)"], rows)
