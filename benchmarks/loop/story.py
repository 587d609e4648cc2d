"""The story of a model in production, chapter by chapter, and the figures that it must reach."""

import json
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.loop.production import (
    PORT,
    CommandError,
    darkroom,
    monitored,
    served,
    show,
    wait_for_canary,
    write_labels,
)
from benchmarks.loop.world import Photograph, World

WINDOW = 150
"""Photographs of a window."""
_QUIET = 3
"""Windows before the world changes."""
_MANY = ("1", "2")
"""Labels that come more often in the end."""
_LOOKS, _TIMES = 6, 3
"""Looks at the canary until it is decided, and how often it is shown each photograph for one."""
_NEVER = 99


class Story:
    """The files of one loop, and what it tells.

    Args:
        folder: Where all of it is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._began = time.monotonic()
        self.folder, self.log = folder, folder / "commands.log"
        self.config, self.runs = folder / "digits.yaml", folder / "runs"
        self.served, self.samples = folder / "served" / "digits", folder / "samples"
        self.labels, self.labelled = folder / "labels.csv", list[Photograph]()
        self.unlabelled: list[Photograph] = []
        self.world = World(folder / "learned")
        self.config.write_text(yaml.safe_dump(self._settings(), sort_keys=False), encoding="utf-8")

    def tell(self, line: str) -> None:
        """Prints a line with the time that has passed."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        print(f"{minutes}:{seconds:02d}  {line}", flush=True)

    def look(self) -> dict[str, Any]:
        """Lets the monitor look, and tells what it says of the newest window."""
        found = monitored(self.config, self.runs, self.log)
        version, rows = next(iter(found["newest"].items()))
        row = rows[0]
        shown = "no label yet" if row["accuracy"] is None else _shown(row["accuracy"])
        changed = ", ".join(row["alarms"][:4]) or "nothing"
        self.tell(f"monitor: version {version}, accuracy {shown}, changed: {changed}")
        return found

    def run(self) -> dict[str, Any]:
        """What the latest run made."""
        newest = max(self.runs.glob("*/run.json"), key=lambda file: file.stat().st_mtime)
        found: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
        return found

    def places(self) -> dict[str, Path]:
        """Where people look afterwards."""
        return {
            "page": self.folder / "monitor" / "report.html",
            "report": Path(self.run()["artifacts"]["report"]),
            "versions": self.served,
            "commands": self.log,
        }

    def label(self, photographs: list[Photograph]) -> None:
        """Lets people label photographs."""
        self.labelled += photographs
        write_labels(self.labels, self.labelled)

    def _settings(self) -> dict[str, Any]:
        return {
            "name": "digits",
            "data": str(self.folder / "learned"),
            "ingest": {
                "split": {"train": 0.7, "valid": 0.1, "test": 0.2},
                "near_duplicate_distance": -1,
            },
            "transform": {"image_size": 16},
            "train": {
                "backbone": "small_cnn",
                "weights": "none",
                "epochs": 16,
                "batch_size": 32,
                "learning_rate": 0.003,
                "augmentation": {"rotation": 0.02, "translation": 0.05},
            },
            "evaluate": {"slices": ["label"], "thresholds": {"accuracy": 0.9}},
            "push": {"destination": str(self.served), "traffic": 50},
            "monitor": {
                "state": str(self.folder / "monitor"),
                "samples": str(self.samples),
                "model": "digits",
                "labels": [str(self.labels)],
                "window": WINDOW,
                "alerts": {"drift_windows": 1},
                "retrain": {
                    "when": "accuracy < 0.9 and drift for 2 windows",
                    "how": "from_scratch",
                    "dataset": str(self.folder / "production"),
                },
            },
        }


def tell_story(story: Story) -> list[str]:
    """Plays the story to its end.

    Returns:
        What it did not reach, a line each.

    Raises:
        CommandError: A command or the server failed.
    """
    darkroom("run", str(story.config), "--out", str(story.runs), log=story.log)
    story.tell(f"trained, evaluated and pushed: accuracy {story.run()['metrics']['accuracy']:.3f}")
    write_labels(story.labels, [])
    with served(story.served, story.samples, story.folder / "server.log"):
        story.tell(f"version 1 serves at http://127.0.0.1:{PORT}/")
        original = _nothing_happens(story)
        seen_after = _the_world_changes(story)
        shares = _labels_come(story)
        _canary(story)
        recovered = _the_changed_world_again(story)
        share_after = _labels_shift(story)
    old = shares["accuracy of source!=monitored"]
    story.tell(
        f"in the changed world {recovered:.3f} of answers are right; in the old one they were "
        f"{original:.3f}; of the frozen photographs {old['challenger']:.3f}, before "
        f"{old['champion']:.3f}"
    )
    reached = {
        f"the change is seen in its window {seen_after}, 2 asked": seen_after <= 2,
        f"the labels' shift is seen in its window {share_after}, 2 asked": share_after <= 2,
        f"accuracy comes back to {recovered:.3f}, {original - 0.03:.3f} asked": (
            recovered >= original - 0.03
        ),
        f"the old world keeps {old['challenger']:.3f}, {old['champion'] - 0.02:.3f} asked": (
            old["challenger"] >= old["champion"] - 0.02
        ),
    }
    return [line for line, is_reached in reached.items() if not is_reached]


def _nothing_happens(story: Story) -> float:
    """Quiet windows, whose labels come; the accuracy there."""
    for window in range(_QUIET):
        shown = story.world.as_learned(window * WINDOW, WINDOW)
        show(shown)
        story.label(shown)
    found = story.look()
    if found["alerts"]:
        raise CommandError(f"an alert in a world that did not change: {found['alerts']}")
    rows = found["newest"]["1"]
    return float(sum(row["accuracy"]["accuracy"] for row in rows) / len(rows))


def _the_world_changes(story: Story) -> int:
    """Another device scans the digits; after how many windows there is an alert of it."""
    story.tell("the world changes: another device turns the digits, darker, and dark on light")
    seen_after = 0
    for window in range(2):
        shown = story.world.of_new_device(window * WINDOW, WINDOW)
        show(shown)
        story.unlabelled += shown
        found = story.look()
        if not seen_after and (alerts := found["alerts"]):
            seen_after = window + 1
            for alert in alerts[:2]:
                story.tell(f"alert: {alert['message']}")
    return seen_after or _NEVER


def _labels_come(story: Story) -> dict[str, Any]:
    """The labels come late, and with them the retraining; how its model compares by shares."""
    story.label(story.unlabelled)
    story.tell(f"labels of {len(story.unlabelled)} photographs come, and the monitor looks")
    story.look()
    run = story.run()
    verdict = json.loads((Path(run["artifacts"]["evaluation"]) / "verdict.json").read_text())
    shares: dict[str, Any] = verdict["comparison"]["shares"]
    new = shares["accuracy of source=monitored"]
    story.tell(
        f"retrained and blessed, {run['run_id']}: of the new photographs {new['challenger']:.3f} "
        f"are right, the champion has {new['champion']:.3f}"
    )
    return shares


def _canary(story: Story) -> None:
    """The new version gets half of the requests, until it is promoted by what it does."""
    first = 2 * WINDOW
    wait_for_canary("2", story.world.of_new_device(first, 20), 60)
    story.tell("version 2 is the canary, with half of the requests")
    for _ in range(_LOOKS):
        answered = show(story.world.of_new_device(first, 2 * WINDOW) * _TIMES)
        story.tell(
            f"answers: {', '.join(f'version {k}: {v}' for k, v in sorted(answered.items()))}"
        )
        story.label(story.world.of_new_device(first, 2 * WINDOW))
        said = darkroom(
            *("promote", str(story.served), "--if-better"),
            *("--server", f"http://127.0.0.1:{PORT}/v1/models/digits"),
            *("--samples", str(story.samples), "--labels", str(story.labels)),
            log=story.log,
            may_wait=True,
        )
        if said:
            story.tell(said.strip().splitlines()[-1])
            return
    raise CommandError("the canary was not decided")


def _the_changed_world_again(story: Story) -> float:
    """Photographs that nobody has shown before, and the accuracy of version 2."""
    shown = story.world.of_new_device(4 * WINDOW, story.world.count - 4 * WINDOW)
    while set(show(shown[:20])) != {"2"}:  # the server finds by itself what was promoted
        time.sleep(1)
    show(shown)
    story.label(shown)
    rows = story.look()["newest"]["2"]
    right = sum(row["accuracy"]["accuracy"] * row["labelled"] for row in rows)
    return float(right / sum(row["labelled"] for row in rows))


def _labels_shift(story: Story) -> int:
    """Some labels come more often; after how many windows there is an alert of it."""
    story.tell(f"the world changes: three in four digits are {' or '.join(_MANY)}")
    for window, shown in enumerate(story.world.mostly(_MANY, 2, WINDOW), 1):
        show(shown)
        for alert in story.look()["alerts"]:
            if (alert["version"], alert["kind"], alert["subject"]) == ("2", "drift", "label"):
                story.tell(f"alert: {alert['message']}")
                return window
    return _NEVER


def _shown(accuracy: dict[str, float]) -> str:
    return f"{accuracy['accuracy']:.3f} ({accuracy['low']:.3f} to {accuracy['high']:.3f})"
