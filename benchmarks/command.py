"""How fast the command answers when it has nothing to run."""

from benchmarks.timing import median_seconds, table

DIGITS = ["pipeline.command", "run", "configs/digits.yaml"]

CASES = {
    "python -c pass (the floor)": ["timeit", "-n1", "-r1", "pass"],
    "darkroom --help": ["pipeline.command", "--help"],
    "unknown key": [*DIGITS, "--set", "train.epoch=3"],
    "wrong type": [*DIGITS, "--set", "train.epochs=many"],
    "missing data path": [*DIGITS, "--data", "nowhere"],
}


def measure() -> str:
    """Times help and settings errors."""
    rows = []
    for name, arguments in CASES.items():
        median, least, most = median_seconds(arguments)
        rows.append([name, f"{median:.2f}", f"{least:.2f}", f"{most:.2f}"])
    return table(["case", "median s", "min s", "max s"], rows)
