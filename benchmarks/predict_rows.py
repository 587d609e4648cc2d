"""A table of 100,000 rows, 1 % of them bad: every row accounted for, killed or not."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks import ROOT
from benchmarks.evaluate import exported_model
from benchmarks.ingest import SCALE
from benchmarks.photographs import FLOWERS
from benchmarks.predict import predict_command
from benchmarks.processes import cost, table
from darkroom.artifacts.batch_predictions import read_batch_predictions
from darkroom.artifacts.rejected import REJECTED_FILE, read_rejections

ROWS = round(100_000 * SCALE)
BAD_SHARE = 100
"""One row of so many is bad."""
KILLS = 5
_BOMB_SIDE = 30_000
_REASONS = {
    "truncated.jpg": "truncated",
    "text.jpg": "not_an_image",
    "missing.jpg": "missing_file",
    "bomb.png": "too_many_pixels",
    "empty.jpg": "empty_file",
}
"""What each bad photograph is rejected for."""


def measure() -> str:
    """Predicts the table in one go, and by a process that is killed at random moments."""
    seed = random.randrange(10_000)
    moments = random.Random(seed)
    print(f"seed {seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = exported_model(folder / "model")
        write_bad_photographs(folder / "bad")
        rows = write_table(folder / "rows.csv", folder / "bad")
        whole, killed = folder / "whole", folder / "killed"
        command = predict_command(model, folder / "rows.csv")
        taken = cost([word.replace("{out}", str(whole)) for word in command], sample_memory=True)
        checked = _check(whole / "predictions", rows)
        print(f"{taken.seconds:.1f} s: {checked}", file=sys.stderr, flush=True)
        words = [word.replace("{out}", str(killed)) for word in command]
        resumed = _killed(words, killed, taken.seconds, moments)
        resumed = f"{_check(killed / 'predictions', rows)}; {resumed}"
        digests = [
            str(read_batch_predictions(each / "predictions").manifest["digest"])
            for each in (whole, killed)
        ]
    same = digests[0] == digests[1]
    return table(
        ["predict, a table", "measured", "must be"],
        [
            [f"{ROWS:,} rows: s, photographs/s", _rate(taken.seconds), ""],
            ["… peak memory: MB", f"{taken.largest / 2**20:,.0f}", ""],
            ["… rows with a prediction or a reason, once each", checked, f"{ROWS:,}: yes"],
            [
                f"… killed {KILLS} times at random (seed {seed}): the same",
                resumed,
                f"{ROWS:,}: yes",
            ],
            ["… its digest / that of one go", "the same" if same else "**another**", "the same"],
        ],
    )


def _rate(seconds: float) -> str:
    return f"{seconds:,.1f}, {ROWS / seconds:,.0f}"


def write_bad_photographs(folder: Path) -> None:
    """Photographs that are bad, each for another reason; one of them is not there."""
    folder.mkdir()
    whole = min(FLOWERS.glob("*/*.jpg")).read_bytes()
    (folder / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("no photograph")
    (folder / "bomb.png").write_bytes(b"".join(_bomb(_BOMB_SIDE)))
    (folder / "empty.jpg").touch()


def _bomb(side: int) -> Iterator[bytes]:
    """A small PNG of so many black pixels a side, which would take gigabytes to decode."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    yield b"\x89PNG\r\n\x1a\n"
    yield chunk(b"IHDR", side.to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00")
    packer = zlib.compressobj(9)
    line = bytes(1 + 3 * side)
    yield chunk(b"IDAT", b"".join(packer.compress(line) for _ in range(side)) + packer.flush())
    yield chunk(b"IEND", b"")


def write_table(path: Path, bad: Path) -> dict[int, str]:
    """Writes a row a photograph, the flowers again and again, with keys of their own.

    Returns:
        Reason by key; "" of a good one.
    """
    flowers = sorted(FLOWERS.glob("*/*.jpg"))
    names = list(_REASONS)
    rows: dict[int, str] = {}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["key", "image"])
        for key in range(ROWS):
            number, rest = divmod(key, BAD_SHARE)
            name = names[number % len(names)]
            is_bad = rest == BAD_SHARE // 2
            writer.writerow([key, bad / name if is_bad else flowers[key % len(flowers)]])
            rows[key] = _REASONS[name] if is_bad else ""
    return rows


def _check(predictions: Path, expected: dict[int, str]) -> str:
    """Fails unless each row is there once, with a prediction or with the reason that is its."""
    found = Counter[tuple[int, str]]()
    folder = read_batch_predictions(predictions)
    found.update((row["key"], "") for row in folder.read(["key"]))
    rejections = read_rejections(folder.folder / REJECTED_FILE)
    found.update((int(str(each.row["key"])), each.reason) for each in rejections)
    if found != Counter(expected.items()):
        wrong = sorted((found - Counter(expected.items())).keys())[:3]
        raise RuntimeError(f"rows that are not as expected: {wrong}")
    return f"{found.total():,}: {json.dumps(folder.manifest['counts'])}"


def _killed(words: list[str], out: Path, usual: float, moments: random.Random) -> str:
    """Runs a command that is killed at a random moment of each part of the work, and to its end."""
    plan = out / ".unfinished-predictions" / "plan"

    def count(name: str) -> int:
        return len(list(plan.glob(f"{name}-*")))

    done = []
    for number in range(KILLS):
        process = subprocess.Popen(
            words, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
        )
        # The first moment may be before anything is planned.
        while number and count("mark") < number * count("rows") // (KILLS + 1):
            if process.poll() is not None:
                break
            time.sleep(0.01)
        time.sleep(moments.uniform(0, usual / (2 * KILLS)))
        if process.poll() is not None:
            raise RuntimeError("predict ended before it was killed")
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        done.append(count("mark"))
        print(f"killed with {done[-1]} shards done", file=sys.stderr, flush=True)
    cost(words)
    return f"with {', '.join(map(str, done))} shards done"
